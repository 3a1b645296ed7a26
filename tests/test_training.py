"""The loop: what it promises, and what it does when something goes wrong."""

import _thread

import pytest
import torch

from course_lib import metrics, models, nets, objectives, training


def pictures(n=200, seed=0):
    """Two kinds of six-pixel images, black and white."""
    g = torch.Generator().manual_seed(seed)
    kind = torch.randint(2, (n, 1), generator=g)
    return torch.bernoulli(
        (kind * torch.tensor([0.9, 0.9, 0.9, 0.1, 0.1, 0.1]) + (1 - kind) * 0.2).float(), generator=g
    )


def vae(d=2, seed=0):
    torch.manual_seed(seed)
    return models.VAE(nets.mlp(6, 16, 2 * d), nets.mlp(d, 16, 6), d)


def test_training_raises_the_bound_towards_the_exact_log_px():
    x, model = pictures(), vae()
    before = metrics.log_px_grid(model, x).mean()
    history = training.fit(model, x, epochs=60, batch=50, lr=1e-2, test=pictures(seed=1))
    assert history["epoch"] == list(range(1, 61))
    assert history["objective"][-1] > history["objective"][0] + 0.3
    after = metrics.log_px_grid(model, x).mean()
    assert after > before + 0.3
    assert training.evaluate(model, x, k=50)["objective"] < after
    for a, b in (("objective", "test_objective"), ("rec", "test_rec"), ("kl", "test_kl")):
        assert len(history[a]) == len(history[b]) == 60
    row = {name: values[-1] for name, values in history.items()}
    assert row["objective"] == pytest.approx(row["rec"] - row["kl"], abs=1e-4)
    assert row["test_objective"] == pytest.approx(row["test_rec"] - row["test_kl"], abs=1e-4)


def test_same_seed_same_numbers_and_the_callers_generator_is_untouched():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    runs = []
    for seed in (0, 0, 1):
        model = vae()
        torch.set_rng_state(state)
        runs.append(training.fit(model, pictures(), epochs=2, seed=seed, transform=torch.bernoulli)["objective"])
        assert torch.equal(torch.get_rng_state(), state)
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize(("n", "batch"), [(5, 128), (7, 3), (1, 1), (8, 8)])
def test_every_example_counts_once_whatever_the_batch(n, batch):
    x, seen = pictures(n), []

    def remember(part):
        seen.append(part)
        return part

    training.fit(vae(), x, epochs=1, batch=batch, transform=remember)
    torch.testing.assert_close(torch.cat(seen).sort(0).values, x.sort(0).values)


def test_history_is_the_mean_over_examples_not_over_batches():
    x = pictures(7)
    model = vae()
    history = training.fit(model, x, epochs=1, batch=5, objective=lambda t: t.rec.mean() + 0 * t.kl.mean(), lr=1e-12)
    torch.manual_seed(0)
    order = torch.randperm(7)
    with torch.no_grad():
        parts = [model(x[i]).rec.mean() * len(i) for i in order.split(5)]
    assert history["rec"][0] == pytest.approx((sum(parts) / 7).item(), abs=1e-4)


def test_labels_travel_with_their_images():
    class Labelled(models.VAE):
        def q_z(self, x, y):
            assert torch.equal(y, x.sum(-1).long())
            return super().q_z(x)

        def p_x(self, z, y):
            return super().p_x(z)

    torch.manual_seed(0)
    x = pictures(50)
    model = Labelled(nets.mlp(6, 4), nets.mlp(2, 6), 2)
    history = training.fit(model, x, x.sum(-1).long(), epochs=1, batch=16, test=(x, x.sum(-1).long()))
    assert len(history["test_objective"]) == 1


def test_interrupt_returns_the_history_so_far(capsys):
    def stop_after_two(history):
        if len(history["epoch"]) == 2:
            _thread.interrupt_main()

    history = training.fit(vae(), pictures(2000), epochs=50, batch=10, watch=stop_after_two)
    assert history["epoch"] == [1, 2]
    assert "Stopped in epoch 3 of 50" in capsys.readouterr().out


def test_not_a_number_stops_with_the_last_good_model():
    x, model, epochs = pictures(), vae(), []
    saved = {}

    def objective(t):
        bound = objectives.elbo(t)
        return bound * float("nan") if len(epochs) == 2 else bound

    def watch(history):
        epochs.append(1)
        saved.update({name: v.clone() for name, v in model.state_dict().items()})

    with pytest.raises(FloatingPointError, match=r"no finite number in epoch 3: objective = nan.*lr = 0.001") as error:
        training.fit(model, x, epochs=9, objective=objective, watch=watch)
    assert error.value.history["epoch"] == [1, 2]
    for name, v in model.state_dict().items():
        torch.testing.assert_close(v, saved[name])


def test_one_cycle_rises_then_falls():
    values = [training.one_cycle(p / 100) for p in range(101)]
    peak = values.index(max(values))
    assert max(values) == pytest.approx(1, abs=1e-3)
    assert values[: peak + 1] == sorted(values[: peak + 1])
    assert values[peak:] == sorted(values[peak:], reverse=True)
    assert 0 < values[0] < 0.2
    assert 0 < values[-1] < 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(0, 6)}, r"x: got shape \(0, 6\)"),
        ({"x": torch.zeros(6)}, r"x: got shape \(6,\)"),
        ({"x": torch.zeros(3, 6, dtype=torch.uint8)}, "x: got dtype torch.uint8"),
        (
            {"x": torch.zeros(3, 6, dtype=torch.float64)},
            "x: got dtype torch.float64, the model computes in torch.float32",
        ),
        ({"x": [[0.0] * 6]}, "x: got list"),
        ({"epochs": 0}, "epochs: got 0"),
        ({"epochs": 1.5}, "epochs: got 1.5"),
        ({"batch": -1}, "batch: got -1"),
        ({"lr": 0.0}, "lr: got 0.0"),
        ({"lr": float("nan")}, "lr: got nan"),
        ({"test": (torch.zeros(3, 6), torch.zeros(3))}, "test: got 2 tensors, wanted 1"),
        ({"test": torch.zeros(3, 6, dtype=torch.uint8)}, "test: got dtype torch.uint8"),
        ({"test": torch.zeros(3, 7)}, r"test: got \(3, 7\) on cpu, wanted examples like x, \(4, 6\) on cpu"),
        ({"k": 0}, "k: got 0"),
        ({"epochs": True}, "epochs: got True"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {"x": pictures(4), "epochs": 1} | change
    with pytest.raises(ValueError, match=message):
        training.fit(vae(), arguments.pop("x"), **arguments)


def test_labels_of_the_wrong_length_are_named():
    with pytest.raises(ValueError, match="y: got 3 rows on cpu, wanted 4"):
        training.fit(vae(), pictures(4), torch.zeros(3), epochs=1)


def test_evaluate_does_not_depend_on_its_batch():
    model, x = vae(), pictures(50)
    at_once = training.evaluate(model, x, k=400)
    in_parts = training.evaluate(model, x, k=400, batch=7)
    assert at_once["kl"] == pytest.approx(in_parts["kl"], abs=1e-5)
    assert at_once["objective"] == pytest.approx(in_parts["objective"], abs=0.05)
    assert training.evaluate(model, x) == training.evaluate(model, x)


def test_schedule_scales_every_step():
    model = vae()
    before = {name: v.clone() for name, v in model.state_dict().items()}
    seen = []

    def nothing(progress):
        seen.append(progress)
        return 0.0

    training.fit(model, pictures(100), epochs=2, batch=25, schedule=nothing)
    assert seen == pytest.approx([i / 8 for i in range(8)])
    for name, v in model.state_dict().items():
        assert torch.equal(v, before[name])


def test_fit_draws_k_samples_in_training_and_for_the_test_set():
    drawn = []

    def objective(t):
        drawn.append(len(t.rec))
        return objectives.importance_weighted_bound(t)

    history = training.fit(vae(), pictures(), epochs=1, k=3, objective=objective, test=pictures(seed=1))
    assert set(drawn) == {3}
    assert history["test_objective"][0] > history["test_rec"][0] - history["test_kl"][0] - 0.5


def test_the_test_objective_is_the_objective_not_the_elbo():
    history = training.fit(
        vae(), pictures(), epochs=1, test=pictures(), objective=lambda t: 0 * t.rec.mean() - t.kl.mean()
    )
    assert history["test_objective"] == pytest.approx([-v for v in history["test_kl"]])


def test_without_a_seed_noise_goes_on_with_the_callers_generator():
    torch.manual_seed(3)
    model = vae()
    assert training.evaluate(model, pictures(), seed=None) != training.evaluate(model, pictures(), seed=None)
    assert training.evaluate(model, pictures(), seed=0) == training.evaluate(model, pictures(), seed=0)


def test_start_at_mean_makes_a_blind_decoder_draw_the_mean_image():
    model, x = vae(), pictures()
    with torch.no_grad():
        model.dec[-1].weight.zero_()
    training.start_at_mean(model, x)
    torch.testing.assert_close(model.decode(torch.randn(3, 2)), x.mean(0).clamp(0.001, 0.999).expand(3, -1))
    model.dec.append(torch.nn.Sigmoid())
    with pytest.raises(ValueError, match="model: its decoder ends in Sigmoid"):
        training.start_at_mean(model, x)


def test_a_gradient_that_is_no_number_is_found_before_it_is_kept():
    """The loss is finite, its gradient is not: sqrt at 0."""
    model = vae()
    before = {name: v.clone() for name, v in model.state_dict().items()}
    with pytest.raises(FloatingPointError, match="epoch 1"):
        training.fit(model, pictures(20), epochs=1, objective=lambda t: t.rec.mean() + (0 * t.kl).sqrt().mean())
    for name, v in model.state_dict().items():
        assert torch.equal(v, before[name])


@pytest.mark.parametrize("kind", [models.VAE, models.GreyVAE, models.GaussianVAE, models.ContinuousBernoulliVAE])
def test_a_learning_rate_that_explodes_is_reported_in_words(kind):
    torch.manual_seed(0)
    model = kind(nets.mlp(6, 8, 4), nets.mlp(2, 8, 6), 2)
    with pytest.raises(FloatingPointError, match="learning rate"):
        training.fit(model, pictures(), epochs=3, lr=1e30)
    assert all(p.isfinite().all() for p in model.parameters())


def test_evaluation_leaves_no_trace_in_the_model():
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(), torch.nn.Linear(8, 4)
    )
    model = models.VAE(encoder, nets.mlp(2, 6), 2)
    for mode in (True, False):
        model.train(mode)
        training.evaluate(model, pictures())
        metrics.log_px(model, pictures(10), k=3)
        assert model.training == encoder[1].training == mode
        assert encoder[1].num_batches_tracked == 0


def test_no_progress_bar_in_a_log(capfd):
    training.fit(vae(), pictures(), epochs=1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_same_call_trains_on_a_gpu():
    x, model = pictures().cuda(), vae()
    history = training.fit(model, x, epochs=30, batch=50, lr=1e-2, test=x)
    assert next(model.parameters()).is_cuda
    assert history["objective"][-1] > history["objective"][0]
    on_gpu = metrics.log_px_grid(model, x)
    torch.testing.assert_close(on_gpu.cpu(), metrics.log_px_grid(model.cpu(), x.cpu()), rtol=1e-3, atol=1e-3)
