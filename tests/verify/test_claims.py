"""Each claim that ships, at its smallest size: judged, and its figure drawn.

Negative controls are judged in test_mutants.py.
"""

from dataclasses import replace

import pytest
from matplotlib import pyplot as plt

from momentumflow.base.figures import style
from momentumflow.verify import Settings, Verdict, claims, shipped
from momentumflow.verify.runner import judge

SMALLEST = Settings(seeds=2, quick=True)


@pytest.mark.parametrize("claim", claims(), ids=lambda claim: claim.name)
def test_a_claim_is_supported_and_draws_its_figure(claim):
    result = judge(replace(claim, controls=()), shipped(), SMALLEST)
    # a question may be answered either way, but has an answer
    expected = {Verdict.SUPPORTED, Verdict.REFUTED} if claim.question else {Verdict.SUPPORTED}
    assert result.verdict in expected, result.explanation
    assert all(proof.verdict is Verdict.SUPPORTED for proof in result.proofs)
    if claim.draw is not None:
        with style():
            figure = claim.draw(result.evidence)
        assert all(axes.has_data() for axes in figure.axes)
        assert all(axes.get_xlabel() for axes in figure.axes[-1:])
        plt.close(figure)
