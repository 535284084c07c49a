"""Reads findings back out of a report's text: which, whether there, on which side, how much.

It knows terms, negations and doubts as CheXpert's labeller does (Irvin et al. 2019), sentence by sentence,
and nothing of the grammar's templates: what a model writes need not be a sentence of the grammar.
"""

from __future__ import annotations

import re

from examples.report.findings import FINDINGS, ZONES, Label, Side, Status

_TERMS = {
    "cardiomegaly": re.compile(r"\bheart\b|\bcardiac silhouette\b|\bcardiomegaly\b"),
    "nodule": re.compile(r"\bnodul\w*|\blungs? (?:is|are) clear\b|\bfocal opacity\b"),
    "effusion": re.compile(r"\beffusions?\b|\bpleural fluid\b"),
    "pacemaker": re.compile(r"\bpacemaker\b|\bsupport devices\b|\blines or devices\b"),
    "catheter": re.compile(r"\bcatheter\b|\bcentral line\b|\bsupport devices\b|\blines or devices\b"),
}
_NEGATION = re.compile(r"\b(?:no|not|without|normal|clear)\b")
_DOUBT = re.compile(r"\b(?:may|possible|questionable|borderline|cannot)\b")
_ENLARGED = re.compile(r"\benlarged\b|\bcardiomegaly\b")
_GRADES = {
    "mild": re.compile(r"\b(?:mild|mildly|small|minor)\b"),
    "moderate": re.compile(r"\b(?:moderate|moderately|medium-sized)\b"),
    "marked": re.compile(r"\b(?:marked|markedly|large|massive)\b"),
}
_HEADING = re.compile(r"\b(?:findings|impression):")


def label(text: str) -> dict[str, Label]:
    """What a report says of each of its findings.

    A finding that several sentences speak of has the first one's label, since the findings are written
    before the impression that sums them up.

    Returns:
        By finding; one that the report does not speak of is left out.
    """
    found: dict[str, Label] = {}
    for sentence in re.split(r"\.(?:\s|$)", _HEADING.sub("", text.lower())):
        for finding in FINDINGS:
            if finding not in found and _TERMS[finding].search(sentence):
                found[finding] = _label(finding, sentence)
    return found


def _label(finding: str, sentence: str) -> Label:
    status = _status(finding, sentence)
    if status == "absent":
        return Label(finding, status)
    if finding in ("pacemaker", "catheter"):
        return Label(finding, status)
    graded = finding in ("cardiomegaly", "effusion") and status == "present"
    grade = next((name for name, words in _GRADES.items() if graded and words.search(sentence)), "")
    zone = next((name for name in ZONES if finding == "nodule" and re.search(rf"\b{name}\b", sentence)), "")
    return Label(finding, status, _side(sentence) if finding != "cardiomegaly" else "", grade, zone)


def _status(finding: str, sentence: str) -> Status:
    if _DOUBT.search(sentence):
        return "uncertain"
    if _NEGATION.search(sentence):
        return "absent"
    if finding == "cardiomegaly" and not _ENLARGED.search(sentence):
        return "absent"
    return "present"


def _side(sentence: str) -> Side:
    left, right = (bool(re.search(rf"\b{side}\b", sentence)) for side in ("left", "right"))
    if re.search(r"\bbilateral\b|\bboth\b", sentence) or (left and right):
        return "bilateral"
    return "left" if left else "right" if right else ""
