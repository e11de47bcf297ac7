"""Settings of transfers; the defaults suit most."""

from __future__ import annotations

from shoal.core.records import dataclass


@dataclass(frozen=True, slots=True)
class TransferConfig:
    """All transfers of an account on one device.

    Attributes:
        downloads_max: files that are fetched at the same time; others wait for their turn.
        waiting_max: files that wait, are paused or are being fetched; further ones are refused.
        accept_max: bytes of a file that is fetched without being asked for; 0 fetches none.
        accept_age_max: seconds after which an offer is too old for that.
        accept_waiting_max: files that wait because nobody asked for them.
        sources_max: devices that are asked for one file before it waits.
        stagger: seconds after which the next device is asked, too, while one does not answer.
        opening_max: devices that are asked at the same time.
        open_timeout: seconds after which a device that does not answer is given up.
        stall_timeout: seconds without a byte after which another device is asked.
        slow_rate: bytes per second below which another device is asked, if there is one.
        slow_after: seconds over which that is measured.
        returns_max: how often a device that stopped early is asked again in one round.
        wrong_max: how often what came may be wrong before the download fails.
        retry_first: seconds until a file that nobody had is looked for again; doubled each time.
        retry_max: the longest of these waits.
        progress_interval: seconds between two events about one transfer, at least.
        uploads_max: files that are served at the same time; further requests are declined.
        uploads_per_device: those to one device.
        upload_stall: seconds in which a peer that fetches must take something.
    """

    downloads_max: int = 4
    waiting_max: int = 4096
    accept_max: int = 20 * 1024 * 1024
    accept_age_max: float = 30 * 86_400.0
    accept_waiting_max: int = 256
    sources_max: int = 32
    stagger: float = 5.0
    opening_max: int = 3
    open_timeout: float = 120.0
    stall_timeout: float = 30.0
    slow_rate: float = 8_192.0
    slow_after: float = 30.0
    returns_max: int = 8
    wrong_max: int = 8
    retry_first: float = 30.0
    retry_max: float = 600.0
    progress_interval: float = 0.25
    uploads_max: int = 32
    uploads_per_device: int = 4
    upload_stall: float = 120.0
