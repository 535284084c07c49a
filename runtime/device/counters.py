"""What crossed between host and device, and how often the host waited."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass
class Counters:
    """Counts of one stream, from its making or from another `snapshot`.

    Attributes:
        host_to_device, device_to_host: copies; ``_bytes`` what they moved.
        device_to_device: copies that stayed on the device.
        synchronizes: waits of the host for the stream, or for an event on it.
        launches: kernels and graphs; what an engine launches by itself is not known here.
    """

    host_to_device: int = 0
    host_to_device_bytes: int = 0
    device_to_host: int = 0
    device_to_host_bytes: int = 0
    device_to_device: int = 0
    device_to_device_bytes: int = 0
    synchronizes: int = 0
    launches: int = 0

    def snapshot(self) -> Counters:
        """The counts as they are now."""
        return Counters(**self.to_dict())

    def since(self, earlier: Counters) -> Counters:
        """What came since an earlier snapshot."""
        return Counters(**{name: count - getattr(earlier, name) for name, count in self.to_dict().items()})

    def add(self, other: Counters, times: int = 1) -> None:
        """Count another's counts too, so many times."""
        for name, count in other.to_dict().items():
            setattr(self, name, getattr(self, name) + count * times)

    def to_dict(self) -> dict[str, int]:
        """By the names of the attributes."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
