from .claim import (
    Claim as Claim,
    ClaimResult as ClaimResult,
    Evidence as Evidence,
    Measurement as Measurement,
    Mutation as Mutation,
    Settings as Settings,
    Verdict as Verdict,
)
from .prediction import Prediction as Prediction, predict as predict
from .repetition import Repetitions as Repetitions, repeat as repeat
from .report.reports import Report as Report
from .runner import check as check, run as run
from .subject import Subject as Subject, shipped as shipped
from .themes import claims as claims, data_claims as data_claims
