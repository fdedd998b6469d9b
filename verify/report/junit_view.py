"""The findings as JUnit XML, which servers of continuous integration read."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from momentumflow.verify.evidence import Verdict
from momentumflow.verify.report.findings import Findings


def to_junit(found: Findings) -> str:
    """Return JUnit XML: a suite for each theme, a case for each claim and control.

    A claim that is not supported, or a control that is accepted, is a failure; one without
    verdict is an error.
    """
    root = ET.Element("testsuites", name="momentumflow verify", time=f"{found.seconds:.3f}")
    for theme in dict.fromkeys(r.claim.theme for r in found.results):
        suite = ET.SubElement(root, "testsuite", name=theme, timestamp=found.created)
        cases = failures = errors = 0
        for result in (r for r in found.results if r.claim.theme == theme):
            cases += 1
            case = ET.SubElement(
                suite,
                "testcase",
                classname=theme,
                name=result.claim.name,
                time=f"{result.seconds:.3f}",
            )
            if result.claim.question:
                ET.SubElement(
                    case, "system-out"
                ).text = f"{result.verdict.value}: {_xml_text(result.explanation)}"
            elif result.verdict is Verdict.REFUTED:
                failures += 1
                ET.SubElement(case, "failure", message=_xml_text(result.explanation))
            elif result.verdict is Verdict.UNDECIDED:
                errors += 1
                ET.SubElement(case, "error", message=_xml_text(result.explanation))
            for control in result.controls:
                cases += 1
                name = f"{result.claim.name} rejects {control.mutation.name}"
                inner = ET.SubElement(suite, "testcase", classname=theme, name=name)
                if control.verdict is Verdict.REFUTED:
                    failures += 1
                    ET.SubElement(inner, "failure", message=_xml_text(control.explanation))
                elif control.verdict is Verdict.UNDECIDED:
                    errors += 1
                    ET.SubElement(inner, "error", message=_xml_text(control.explanation))
        suite.set("tests", str(cases))
        suite.set("failures", str(failures))
        suite.set("errors", str(errors))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml_text(text: str) -> str:
    # XML 1.0 has no control characters, not even escaped.
    return "".join(c for c in text if c >= " " or c in "\t\n")
