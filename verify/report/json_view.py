"""The findings as plain data, described by `report.schema.json` beside this module."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from momentumflow.base.numbers import plain
from momentumflow.verify.evidence import Measurement
from momentumflow.verify.report.findings import Findings
from momentumflow.verify.results import ClaimResult

SCHEMA_VERSION = 2


def to_dict(found: Findings) -> dict[str, Any]:
    """Return the findings as plain data that fits `schema()`; what is not finite is None."""
    data = {
        "schema_version": SCHEMA_VERSION,
        "created": found.created,
        "verdict": found.verdict.value,
        "seconds": found.seconds,
        "settings": {
            "seeds": found.settings.seeds,
            "quick": found.settings.quick,
            "tolerance_scale": found.settings.tolerance_scale,
            "base_seed": found.settings.base_seed,
        },
        "versions": dict(found.versions),
        "claims": [_claim_dict(r) for r in found.results],
    }
    return dict(plain(data))


def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of `Report.to_json`."""
    text = (
        resources.files("momentumflow.verify.report")
        .joinpath("report.schema.json")
        .read_text("utf-8")
    )
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _claim_dict(result: ClaimResult) -> dict[str, Any]:
    claim = result.claim
    return {
        "name": claim.name,
        "theme": claim.theme,
        "title": claim.title,
        "statement": claim.statement,
        "formulas": list(claim.displayed),
        "source": claim.source,
        "question": claim.question,
        "verdict": result.verdict.value,
        "explanation": result.explanation,
        "caveat": result.caveat,
        "seconds": result.seconds,
        "proofs": [
            {"name": p.name, "statement": p.statement, "verdict": p.verdict.value}
            for p in result.proofs
        ],
        "theorems": list(claim.theorems),
        "measurements": [
            {**_measurement_dict(m), "guards": list(result.guards(m))}
            for m in result.evidence.measurements
        ],
        "controls": [
            {
                "name": c.mutation.name,
                "description": c.mutation.description,
                "kind": c.mutation.kind,
                "rejected": c.rejected,
                "outcome": c.outcome,
                "explanation": c.explanation,
            }
            for c in result.controls
        ],
    }


def _measurement_dict(m: Measurement) -> dict[str, Any]:
    return {
        "quantity": m.quantity,
        "value": m.value,
        "interval": m.interval,
        "requirement": m.requirement,
        "samples": m.samples,
        "verdict": m.verdict.value,
        "reason": m.reason,
        "secondary": m.secondary,
    }
