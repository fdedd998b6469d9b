from .catalogue import claims as claims, data_claims as data_claims
from .claim import Claim as Claim, Mutation as Mutation
from .evidence import Evidence as Evidence, Measurement as Measurement, Verdict as Verdict
from .gallery import GALLERY as GALLERY, write_gallery as write_gallery
from .prediction import Prediction as Prediction, predict as predict
from .repetition import Repetitions as Repetitions, repeat as repeat
from .report.reports import Report as Report, writable as writable
from .results import ClaimResult as ClaimResult
from .runner import check as check, run as run, select as select
from .settings import Settings as Settings
from .subject import Subject as Subject, shipped as shipped
