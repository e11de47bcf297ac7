"""Accounts made in threads."""

from __future__ import annotations

from shoal.identity.account import CreationStep, Progressed
from shoal.identity.chain import check_device
from shoal.identity.driver import make_account, make_keys, new_account
from tests.unit.identity.samples import BITS


def test_an_account_with_progress() -> None:
    """Three keys, in whatever order they are done, then certificates."""
    steps: list[Progressed] = []
    new = make_account(steps.append, bits=BITS)

    certificate = new.device.identity.certificate
    chain = check_device(certificate, certificate.wall_not_before + 1)
    assert chain.account == new.keys.id
    assert [step.done for step in steps] == [1, 2, 3, 4]
    assert {step.step for step in steps} == set(CreationStep)
    assert steps[-1].step is CreationStep.CERTIFICATES


async def test_off_the_event_loop() -> None:
    """Progress is told in the loop."""
    steps: list[Progressed] = []
    new = await new_account(steps.append, bits=BITS)
    silent = await new_account(bits=BITS)
    keys = await make_keys(2, bits=BITS)

    assert [step.done for step in steps] == [1, 2, 3, 4]
    assert silent.keys.id != new.keys.id
    assert len({key.public_key.id for key in keys}) == 2
