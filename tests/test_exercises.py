"""All exercises: solutions, right answers in other styles, wrong answers with their own hints, and broken answers."""

import contextlib
import sys
import threading
import time

import numpy as np
import pytest
import torch
from right_answers import RIGHT

from course_lib.authoring.build import sources
from course_lib.exercises import Verdict, check, hint, judge, solution
from course_lib.exercises.judge import exercise, exercises
from course_lib.exercises.source import course_functions, solved_cells

LESSONS = [source.name[:2] for source in sources()]
IDS = [id for lesson in LESSONS for id in solved_cells(lesson)]


def kl(mu, log_var):
    return 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(-1)


def test_every_lesson_and_every_exercise_is_covered():
    assert {"03", "04"} <= set(LESSONS)
    for lesson in LESSONS:
        own = [id for id in IDS if id.startswith(lesson)]
        assert own == [f"{lesson}.{n}" for n in range(1, len(own) + 1)]
        assert own == [e.id for e in exercises(lesson)]
    assert set(RIGHT) == set(IDS)
    assert all(len(answers) >= 3 for answers in RIGHT.values())


@pytest.mark.parametrize("id", IDS)
def test_the_courses_solution_agrees_with_the_oracle(id):
    e = exercise(id)
    verdict = judge(id, course_functions(id[:2])[e.name])
    assert verdict.status == "right", verdict.message
    assert e.oracle is not course_functions(id[:2])[e.name]


@pytest.mark.parametrize("id", IDS)
def test_an_exercise_has_what_a_check_must_hold(id):
    e = exercise(id)
    assert len(e.cases) >= 5
    assert len(e.hints) == 3
    floats = {
        v.dtype for case in e.cases for v in case.arguments.values() if torch.is_tensor(v) and v.is_floating_point()
    }
    assert floats in (set(), {torch.float32, torch.float64})
    assert len({m.hint for m in e.mistakes}) == len(e.mistakes)


@pytest.mark.parametrize(("id", "answer"), [(id, f) for id in IDS for f in RIGHT[id]])
def test_right_answers_in_another_style_pass(id, answer, capsys):
    verdict = judge(id, answer)
    assert verdict.status == "right", verdict.message
    assert capsys.readouterr().out == "", "what an answer prints must not change the check's output"


@pytest.mark.parametrize(("id", "number"), [(id, n) for id in IDS for n in range(len(exercise(id).mistakes))])
def test_wrong_answers_get_their_own_hint(id, number):
    mistake = exercise(id).mistakes[number]
    verdict = judge(id, mistake.function)
    assert verdict.status == "wrong"
    assert verdict.hint == mistake.hint


@pytest.mark.parametrize("id", IDS)
def test_no_hint_on_a_mistake_gives_the_solution_away(id):
    body = [line.strip() for line in solved_cells(id[:2])[id].splitlines() if line.strip().startswith("return")]
    for mistake in exercise(id).mistakes:
        assert not any(line.removeprefix("return ") in mistake.hint for line in body)


def numpy_answer(mu, log_var):
    return kl(mu, log_var).numpy()


def overwriting(mu, log_var):
    mu *= 2
    return kl(mu / 2, log_var)


def resizing(mu, log_var):
    log_var.squeeze_()
    return kl(mu, log_var)


def random_answer(mu, log_var):
    return kl(mu, log_var) + torch.randn(len(mu), dtype=mu.dtype)


def leaving(mu, log_var):
    sys.exit("bye")


def raising(mu, log_var):
    raise KeyError("mu")


def half_written(mu, log_var):
    if mu.shape[0] > 1:
        raise NotImplementedError
    return kl(mu, log_var)


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [
        (raising, "error", "it raised KeyError: 'mu'"),
        (leaving, "error", "it raised SystemExit: bye"),
        (half_written, "error", "it raised NotImplementedError"),
        (lambda mu: mu, "error", "takes 1 positional argument but 2 were given"),
        (None, "error", "got a NoneType, wanted the function gaussian_kl itself"),
        (kl(torch.zeros(1, 1), torch.zeros(1, 1)), "error", "got a torch.Tensor"),
        (lambda mu, log_var: None, "wrong", "it returns None"),
        (numpy_answer, "wrong", "it returns a numpy.ndarray, wanted a torch.Tensor of shape (1,) and dtype float64"),
        (lambda mu, log_var: kl(mu, log_var).tolist(), "wrong", "it returns a list"),
        (lambda mu, log_var: kl(mu, log_var).float(), "wrong", "it returns float32, wanted float64"),
        (lambda mu, log_var: kl(mu, log_var)[:, None], "wrong", "it returns shape (1, 1), wanted (1,)"),
        (lambda mu, log_var: kl(mu, log_var).detach(), "wrong", "no gradient flows back to mu, log_var"),
        (lambda mu, log_var: kl(mu.detach(), log_var), "wrong", "but not the gradient with respect to mu"),
        (overwriting, "wrong", "it overwrites mu"),
        (resizing, "wrong", "it overwrites log_var"),
        (random_answer, "wrong", "yours"),
        (lambda mu, log_var: kl(mu, log_var) * 3, "wrong", "yours"),
        (lambda mu, log_var: kl(mu, log_var) / 0, "wrong", "inf"),
    ],
)
def test_broken_answers_get_a_clear_verdict(answer, status, says):
    verdict = judge("04.1", answer)
    assert (verdict.status, verdict.id) == (status, "04.1")
    assert says in verdict.message


def test_hints_on_the_form_of_an_answer():
    assert "3 times the wanted one" in judge("04.1", lambda mu, log_var: kl(mu, log_var) * 3).hint
    assert "draw nothing yourself" in judge("04.1", random_answer).hint
    assert "inf or nan" in judge("04.1", lambda mu, log_var: kl(mu, log_var) / 0).hint


def test_what_an_answer_printed_is_shown_when_it_is_wrong():
    def chatty(mu, log_var):
        print("mu has shape", tuple(mu.shape))
        return 2 * kl(mu, log_var)

    assert "it printed 'mu has shape (1, 2)'" in judge("04.1", chatty).message


def test_a_mistake_that_raises_on_a_later_case_still_gets_its_hint():
    """02.6 without a guard: wrong where it is not rounded, a division by zero where both cost the same."""
    verdict = judge("02.6", lambda train_cost, encoder_cost, svi_cost: train_cost / (svi_cost - encoder_cost))
    assert verdict.status == "wrong"
    assert verdict.hint in {m.hint for m in exercise("02.6").mistakes}


def test_a_sign_that_the_mistakes_do_not_list_is_still_named():
    flipped = judge("04.2", lambda mu, log_var, eps: -(mu + (0.5 * log_var).exp() * eps))
    assert flipped.hint == "Only the sign is wrong."


def test_a_gradient_that_is_wrong_in_one_place_only_is_found():
    """Right values everywhere; the gradient of the first latent is halved."""

    def sly(mu, log_var):
        half = torch.cat([mu[:, :1] / 2 + (mu[:, :1] / 2).detach(), mu[:, 1:]], 1)
        return kl(half, log_var)

    verdict = judge("04.1", sly)
    assert (verdict.status, verdict.hint) == ("wrong", "Which step cuts the gradient?")


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_a_check_works_where_gradients_are_switched_off(off):
    with off():
        assert judge("04.1", kl).status == "right"


def test_an_answer_on_another_device_or_layout_is_named():
    assert "on meta" in judge("04.1", lambda mu, log_var: kl(mu, log_var).to("meta")).message
    assert "torch.sparse_coo" in judge("04.1", lambda mu, log_var: kl(mu, log_var).to_sparse()).message


def test_torchs_own_not_implemented_is_an_error_not_an_empty_answer():
    def full_covariance(mu, log_var):
        q = torch.distributions.Independent(torch.distributions.Normal(mu, log_var.exp()), 1)
        return torch.distributions.kl_divergence(q, torch.distributions.Gamma(1.0, 1.0))

    verdict = judge("04.1", full_covariance)
    assert verdict.status == "error"
    assert "NotImplementedError" in verdict.message


def test_an_exception_without_a_text_does_not_stop_the_check():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    def answer(mu, log_var):
        raise Mute

    assert "it raised Mute: no message" in judge("04.1", answer).message


def test_an_unsolved_stub_is_unsolved():
    def stub(mu, log_var):
        raise NotImplementedError

    assert judge("04.1", stub) == Verdict("04.1", "unsolved", "○ 04.1 gaussian_kl is not solved yet.", "")


@pytest.mark.parametrize("kind", ["loop", "sleep", "swallowing loop"])
def test_an_answer_that_never_ends_is_stopped(kind):
    def endless(mu, log_var):
        while kind == "sleep":
            time.sleep(1.5)
        while True:
            with contextlib.suppress(Exception):
                sum(range(1000))

    start = time.monotonic()
    verdict = judge("04.1", endless, limit=0.5)
    assert time.monotonic() - start < 3
    assert verdict.status == "error"
    assert "did not end within 0.5 seconds" in verdict.message
    assert judge("04.1", kl).status == "right"  # output and threads are as before
    deadline = time.monotonic() + 5
    while any("work" in t.name for t in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any("work" in t.name for t in threading.enumerate()), "the loop still runs"


def test_check_prints_one_line_when_right_and_returns_the_learners_function(capsys):
    def mine(mu, log_var):
        print("debugging")
        return kl(mu, log_var)

    assert check("04.1", mine) is mine
    assert capsys.readouterr().out == "✓ 04.1 gaussian_kl is right: 6 cases, values and gradients.\n"


def test_check_prints_what_came_and_what_was_wanted_and_returns_the_courses_function(capsys):
    got = check("04.1", lambda mu, log_var: 2 * kl(mu, log_var))
    out = capsys.readouterr().out
    for part in ("case 1 of 6", "mu = [[0.5, -1.0]]", "yours   [2.3254]", "wanted  [1.1627]", "Hint: ", "goes on"):
        assert part in out
    torch.testing.assert_close(got(torch.ones(1, 2), torch.zeros(1, 2)), torch.ones(1))


def test_hints_come_one_after_the_other_and_stop_at_the_last(capsys):
    for _ in range(4):
        hint("04.2")
    lines = capsys.readouterr().out.splitlines()
    assert [line[:6] for line in lines] == ["Hint 1", "Hint 2", "Hint 3", "Hint 3"]
    hint("04.2", 2)
    assert capsys.readouterr().out.startswith("Hint 2 of 3 for 04.2: ")
    with pytest.raises(ValueError, match="number: got 4, wanted 1 to 3"):
        hint("04.2", 4)


def test_solution_shows_the_answer_without_marks(capsys):
    solution("04.1")
    out = capsys.readouterr().out
    assert out.startswith("def gaussian_kl(mu, log_var):")
    assert "return" in out
    assert "###" not in out


@pytest.mark.parametrize("call", [lambda i: judge(i, kl), lambda i: check(i, kl), hint, solution])
@pytest.mark.parametrize("id", ["04.99", "4.1", "banana", "", None])
def test_an_unknown_id_is_named(call, id):
    with pytest.raises(ValueError, match="id: got"):
        call(id)


def test_scalars_may_come_back_as_numpy_would_give_them():
    """04.7 has no tensor among its arguments, so any float dtype will do, but numpy itself will not."""
    assert judge("04.7", lambda n: torch.linspace(0.05, 0.95, n).double().logit()).status == "wrong"
    assert "numpy.ndarray" in judge("04.7", lambda n: np.linspace(0.05, 0.95, n)).message
