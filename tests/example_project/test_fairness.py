"""Fairness of the generator, held to limits and to the last night on which all was well."""

from audit.pytest_plugin import assert_held


def test_both_presentations_are_drawn(genbias_run):
    result = genbias_run("audit.yaml")
    assert_held(result, metric="share", attribute="gender", group="feminine", generator="faces", between=(0.2, 0.8))


def test_the_generator_is_not_worse_than_on_the_last_green_night(genbias_run):
    result = genbias_run("audit.yaml")  # not run again
    assert_held(result, metric="fairness_discrepancy", attribute="gender", generator="faces", not_worse_than="last-green", history="history.db")
