"""Which of the NVIDIA driver's error codes (XIDs) say that a GPU is ill, and what mends it.

By the immediate action that NVIDIA's catalogue of XIDs names for Ampere and newer: what asks for a reset of the GPU, a
reboot, or a new start of whoever was hit. Not in the table, and so no sickness: errors of the application (13, 31, 43,
45, 68, 109, which the device plugin ignores too), what the GPU goes on after (63: a row was remapped; 92: many
corrected errors), and codes that are not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Remedy(StrEnum):
    """What a person does about it."""

    RESTART = "delete the pod"
    RESET = "cordon the node, delete the pod, reset the GPU"
    REBOOT = "drain the node and reboot it"


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareError:
    """One code that speaks against the GPU."""

    meaning: str
    remedy: Remedy


def _reset(meaning: str) -> HardwareError:
    return HardwareError(meaning=meaning, remedy=Remedy.RESET)


HARDWARE_ERRORS = {
    46: _reset("the GPU stopped processing"),
    48: _reset("uncorrectable ECC error"),
    62: _reset("a microcontroller of the GPU halted"),
    64: _reset("a row of its memory could not be remapped"),
    74: _reset("NVLink error"),
    79: HardwareError(meaning="the GPU has fallen off the bus", remedy=Remedy.REBOOT),
    # The server's CUDA context is gone, the GPU goes on: another start on it works.
    94: HardwareError(meaning="contained memory error", remedy=Remedy.RESTART),
    95: _reset("uncontained memory error"),
    110: _reset("security fault"),
    119: _reset("its system processor does not answer"),
    120: _reset("error of its system processor"),
    136: _reset("NVLink could not be trained"),
    140: _reset("unrecovered ECC error"),
    143: _reset("it could not be initialised"),
    158: _reset("fatal timeout"),
}
