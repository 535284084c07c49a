"""Reports of phantoms: sentences drawn from synonyms, with negations and doubts, in two sections.

The order of the findings is a reading room's template: heart, lungs, pleura, devices. Which words a sentence
is said with is drawn; what it says is the study's.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from examples.report.findings import Label, Study

_HEART = {
    "absent": (
        "the heart is normal in size .",
        "heart size is within normal limits .",
        "the cardiac silhouette is not enlarged .",
    ),
    "uncertain": (
        "the heart is borderline in size .",
        "the cardiac silhouette may be enlarged .",
        "possible cardiomegaly .",
    ),
    "present": (
        "the heart is {grade} enlarged .",
        "there is {adjective} cardiomegaly .",
        "the cardiac silhouette is {grade} enlarged .",
    ),
}
_NODULE = {
    "absent": (
        "the lungs are clear .",
        "no pulmonary nodule is seen .",
        "no focal opacity in either lung .",
    ),
    "uncertain": (
        "a nodule in the {side} {zone} zone cannot be excluded .",
        "questionable nodular opacity in the {side} {zone} zone .",
        "possible nodule projecting over the {side} {zone} zone .",
    ),
    "present": (
        "there is a nodule in the {side} {zone} zone .",
        "a nodular opacity projects over the {side} {zone} zone .",
        "a round nodule is seen in the {side} {zone} zone .",
    ),
}
_EFFUSION = {
    "absent": (
        "no pleural effusion .",
        "there is no effusion .",
        "the costophrenic angles are sharp without effusion .",
    ),
    "uncertain": (
        "a small {side} effusion cannot be excluded .",
        "blunting of the {side} costophrenic angle , possible effusion .",
        "questionable {side} pleural effusion .",
    ),
    "present": (
        "there is a {size} {side} pleural effusion .",
        "a {size} {side} effusion is present .",
        "{size} {side} pleural fluid .",
    ),
}
_BOTH = {
    "present": (
        "there are {size} bilateral pleural effusions .",
        "{size} effusions on both sides .",
        "{size} bilateral pleural fluid .",
    ),
}
_PACEMAKER = {
    "present": (
        "a pacemaker is in place with its lead in the right ventricle .",
        "left chest wall pacemaker with an intact lead .",
    )
}
_CATHETER = {
    "present": (
        "a right central venous catheter ends in the superior vena cava .",
        "the tip of the right central line is in the superior vena cava .",
    )
}
_NO_DEVICE = ("no lines or devices .", "no support devices .")
_ALL_CLEAR = (
    "no acute cardiopulmonary abnormality .",
    "no acute disease in the chest .",
    "normal chest radiograph .",
)
_ADVERB = {"mild": "mildly", "moderate": "moderately", "marked": "markedly"}
_SIZE = {"mild": ("small", "minor"), "moderate": ("moderate", "medium-sized"), "marked": ("large", "massive")}


def report(study: Study, draw: random.Random) -> str:
    """The report: ``Findings: ... Impression: ...``, its words drawn.

    Every finding that the study has or has not is said, in the findings; the impression sums up what is
    there, or may be.
    """
    sentences = [
        _said(_HEART, study.heart, draw),
        _said(_NODULE, study.nodule, draw),
        _said(_EFFUSION, study.effusion, draw),
    ]
    devices = [
        draw.choice(table["present"])
        for table, label in ((_PACEMAKER, study.pacemaker), (_CATHETER, study.catheter))
        if label.status == "present"
    ]
    sentences += devices or [draw.choice(_NO_DEVICE)]
    return f"Findings: {' '.join(sentences)} Impression: {_impression(study)}"


def _said(table: dict[str, Sequence[str]], label: Label, draw: random.Random) -> str:
    if label.side == "bilateral" and label.status == "present":
        table = _BOTH
    sentence = draw.choice(table[label.status])
    size = draw.choice(_SIZE[label.grade]) if label.grade else ""
    return sentence.format(
        side=label.side, zone=label.zone, size=size, adjective=label.grade, grade=_ADVERB.get(label.grade, "")
    )


def _impression(study: Study) -> str:
    """Without synonyms: an impression is a list of diagnoses."""
    heart, nodule, effusion = study.heart, study.nodule, study.effusion
    said: list[str] = []
    doubt = {"present": "", "uncertain": "possible "}
    if heart.status != "absent":
        said.append(f"{doubt[heart.status]}{heart.grade} cardiomegaly .".strip().replace("  ", " "))
    if nodule.status != "absent":
        said.append(f"{doubt[nodule.status]}{nodule.side} {nodule.zone} zone nodule .")
    if effusion.status != "absent":
        said.append(f"{doubt[effusion.status]}{effusion.side} pleural effusion .")
    return " ".join(said) or _ALL_CLEAR[0]
