"""Pictures: the right way up, with their text, and one copy each."""

import pytest
import torch

from course_lib import plots

PNG = b"\x89PNG"


def drawn(figure):
    return figure.axes[0].images[0].get_array()


def test_a_figure_shows_itself_once_with_its_text():
    figure = plots.images(torch.rand(2, 3, 784), "title", alt="six random images")
    data, metadata = figure._repr_mimebundle_()
    assert data["image/png"].startswith(PNG)
    assert metadata["image/png"]["alt"] == data["text/plain"] == "six random images"
    assert plots.plt.get_fignums() == []  # nothing is left for the notebook to draw again


def test_images_stand_in_rows_and_columns():
    table = torch.arange(6.0).reshape(2, 3, 1).expand(2, 3, 4) / 10
    sheet = drawn(plots.images({"a": table[0], "b": table[1]}, shape=(2, 2)))
    assert sheet[::2, ::2].tolist() == [pytest.approx([0.0, 0.1, 0.2]), pytest.approx([0.3, 0.4, 0.5])]
    with pytest.raises(ValueError, match=r"rows: got shape \(2, 3, 4\), wanted \(rows, columns, 784\)"):
        plots.images(table)


def test_the_manifold_has_z1_to_the_right_and_z2_up():
    i, j = torch.meshgrid(torch.arange(3.0), torch.arange(3.0), indexing="ij")
    sheet = drawn(plots.manifold(((i + 3 * j) / 10)[..., None].expand(3, 3, 4), shape=(2, 2)))[::2, ::2]
    assert sheet[-1, 0] == pytest.approx(0.0)  # smallest z1 and z2: below, left
    assert sheet[-1, 2] == pytest.approx(0.2)  # z1 grows to the right
    assert sheet[0, 0] == pytest.approx(0.6)  # z2 grows upwards


def test_history_draws_losses_and_prints_where_they_ended():
    h = {"epoch": [1, 2], "objective": [-9.0, -7.0], "rec": [-6.0, -5.0], "kl": [3.0, 2.0]}
    h |= {f"test_{name}": [v - 1 for v in h[name]] for name in ("objective", "rec", "kl")}
    figure = plots.history(h)
    lines = [[line.get_ydata().tolist() for line in axis.lines] for axis in figure.axes]
    assert lines[0] == [[9.0, 7.0], [10.0, 8.0]]
    assert lines[2] == [[3.0, 2.0], [2.0, 1.0]]
    assert {t.get_text().strip() for t in figure.axes[0].texts} == {"7.0", "8.0"}


def test_labels_of_classes_stand_where_the_class_is_and_apart():
    torch.manual_seed(0)
    y = torch.arange(3000) % 3
    z = torch.randn(3000, 2) * 0.3 + torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])[y]
    z[:5], y[:5] = torch.tensor([30.0, 30.0]), 7  # a class that lies wholly outside
    figure = plots.codes(z, y)
    places = {t.get_text(): t.xy for t in figure.axes[0].texts}
    assert set(places) == {"0", "1", "2", "7"}
    for name, centre in (("0", (0, 0)), ("1", (4, 0)), ("2", (0, 4)), ("7", (30, 30))):
        assert places[name] == pytest.approx(centre, abs=0.8)


def test_live_history_draws_into_one_place(monkeypatch):
    import IPython.display

    shown, updated = [], []

    class Handle:
        def update(self, figure):
            updated.append(figure)

    def display(figure, display_id):
        shown.append(figure)
        return Handle()

    monkeypatch.setattr(IPython.display, "display", display)
    live = plots.LiveHistory(3)
    for n in (1, 2, 3):
        live({"epoch": list(range(1, n + 1)), "objective": [-1.0] * n, "rec": [-1.0] * n, "kl": [0.0] * n})
    assert (len(shown), len(updated)) == (1, 2)


def test_lines_need_no_more_than_numbers():
    figure = plots.lines((1, 10), {"a": (2.0, 1.0), "b": (3.0, 2.0)}, "x", "y", "title")
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == ["a", "b"]
    assert figure.axes[0].get_xticks().tolist() == [1, 10]
