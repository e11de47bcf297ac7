"""The whole server on loopback: registrations, outages, reorganisations, restarts."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from shoal.chain.errors import OutOfFundsError
from shoal.names import NameServer, NameServerConfig
from shoal.names.driver import follower as follower_module
from shoal.names.errors import NameStoreError
from shoal.names.wire import encode_registration
from tests.unit.names.driver.http_client import Answer, connected, reached
from tests.unit.names.fake_chain import FakeChain, reserved
from tests.unit.names.people import record_of

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from shoal.names import NameRecord
    from tests.unit.names.driver.conftest import Serve

ALICE, BOB = record_of("alice"), record_of("bob")


async def register(server: NameServer, record: NameRecord) -> Answer:
    """Register as Jami does."""
    async with connected(server.port) as client:
        return await client.post(f"/name/{record.name}", encode_registration(record))


async def get(server: NameServer, target: str) -> Answer:
    """Look something up."""
    async with connected(server.port) as client:
        return await client.get(target)


async def until_state(server: NameServer, name: str, state: str) -> None:
    """Wait until a registration is so far."""
    async with connected(server.port) as client:

        async def is_so() -> bool:
            return bool((await client.get(f"/registration/{name}")).json["state"] == state)

        await reached(is_so)


async def until_found(server: NameServer, name: str) -> None:
    """Wait until a name is found."""

    async def is_so() -> bool:
        return (await get(server, f"/name/{name}")).status == 200

    await reached(is_so)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for the chain again without a pause."""
    monkeypatch.setattr(follower_module, "RETRY", 0.01)


async def test_register_and_look_up(serve: Serve, chain: FakeChain) -> None:
    """Both directions, once it is acknowledged; once more is harmless; others are refused."""
    server = await serve()

    assert (await register(server, ALICE)).json == {"success": True}
    assert (await get(server, "/name/ALICE")).json["addr"] == f"0x{ALICE.account}"
    assert (await get(server, f"/addr/{ALICE.account}")).json == {"name": "alice"}
    assert (await register(server, ALICE)).json == {"success": True}
    assert (await register(server, record_of("bob", "alice"))).status == 403
    assert (await register(server, record_of("alice", "other"))).status == 403
    assert chain.reservations == 1


async def test_many_at_once(serve: Serve, chain: FakeChain) -> None:
    """Each is told of its own success; of two who want one name, one."""
    server = await serve()
    records = [record_of(f"person{number}") for number in range(5)]
    rivals = [record_of("alice", "name"), record_of("bob", "name")]

    answers = await asyncio.gather(*(register(server, each) for each in (*records, *rivals)))

    assert [each.status for each in answers[:5]] == [200] * 5
    assert sorted(each.status for each in answers[5:]) == [200, 403]
    assert all(chain.has(each) for each in records)


async def test_the_chain_is_away(serve: Serve, chain: FakeChain) -> None:
    """Lookups go on, registrations are kept, and carried out when it is back: once."""
    chain.mine(reserved(BOB))
    server = await serve()
    chain.go_away()
    answer = await register(server, ALICE)
    assert answer.status == 503
    assert answer.json["code"] == "pending"
    assert int(answer.headers["retry-after"]) > 0
    assert (await register(server, ALICE)).status == 503
    assert (await get(server, "/name/bob")).status == 200
    health = await get(server, "/healthz")
    assert (health.status, health.json["status"], health.json["pending"]) == (503, "degraded", 1)

    chain.come_back()
    await until_state(server, "alice", "registered")
    assert (await register(server, ALICE)).json == {"success": True}
    assert chain.reservations == 1
    assert (await get(server, "/healthz")).json["status"] == "ok"


async def test_restart_without_a_chain(serve: Serve, chain: FakeChain, tmp_path: Path) -> None:
    """The index serves, what was promised is carried out by the next process."""
    chain.mine(reserved(BOB))
    first = await serve()
    chain.go_away()
    assert (await register(first, ALICE)).status == 503
    await first.close()

    second = await serve()
    assert (await get(second, "/name/bob")).status == 200
    assert (await get(second, "/registration/alice")).json["state"] == "pending"
    await second.close()
    chain.come_back()
    third = await serve()
    await until_state(third, "alice", "registered")
    assert chain.reservations == 1


async def test_a_new_mirror_without_a_chain_does_not_guess(serve: Serve, chain: FakeChain) -> None:
    """It has nothing, and knows that it knows nothing."""
    chain.mine(reserved(BOB))
    chain.go_away()
    server = await serve(is_read_only=True)

    assert (await get(server, "/name/bob")).status == 503
    assert (await get(server, f"/addr/{BOB.account}")).status == 503
    chain.come_back()
    await until_found(server, "bob")
    assert (await get(server, "/name/alice")).status == 404


async def test_a_mirror_follows(serve: Serve, chain: FakeChain) -> None:
    """What another server registers is found here; nothing is registered here."""
    server, mirror = await serve(), await serve(folder="mirror", is_read_only=True)
    assert (await register(mirror, ALICE)).status == 501
    assert (await register(server, ALICE)).status == 200
    await until_found(mirror, "alice")


async def test_a_reorganisation_loses_nothing_that_was_promised(
    serve: Serve, chain: FakeChain
) -> None:
    """The name goes away with its block, and comes to the chain again."""
    server = await serve()
    await register(server, ALICE)
    chain.reorganise(1)

    async def is_back() -> bool:
        return chain.has(ALICE)

    await reached(is_back)
    await until_state(server, "alice", "registered")
    assert server.engine.registrations.stats.repeated == 1


async def test_the_chain_is_slow(serve: Serve, chain: FakeChain) -> None:
    """The client is told to ask again, and the work goes on; a restart takes it up."""
    chain.is_slow.set()
    server = await serve(answer_patience=0.05)
    answer = await register(server, ALICE)
    assert (answer.status, answer.json["code"]) == (503, "pending")
    await server.close()
    chain.is_slow.clear()
    again = await serve()
    await until_state(again, "alice", "registered")


async def test_a_server_without_money(
    serve: Serve, chain: FakeChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temporary error that does not say how poor it is; it tries again."""
    honest = chain.reserve

    async def poor(record: NameRecord) -> None:
        raise OutOfFundsError(needed_wei=5, balance_wei=4)

    monkeypatch.setattr(chain, "reserve", poor)
    server = await serve()
    answer = await register(server, ALICE)
    assert answer.status == 503
    assert "fee" in answer.json["error"]
    assert "5" not in answer.json["error"]
    monkeypatch.setattr(chain, "reserve", honest)
    await until_state(server, "alice", "registered")


async def test_the_chain_refuses(serve: Serve, chain: FakeChain) -> None:
    """Somebody else was faster, past this server."""
    server = await serve()
    chain.blocks[-1][1].append(reserved(record_of("bob", "alice")))  # which it will not notice

    answer = await register(server, ALICE)
    assert answer.status == 403
    assert "name taken" in answer.json["error"]


async def test_a_full_disk(serve: Serve, chain: FakeChain, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be promised is not sent."""
    server = await serve()

    async def full(change: object) -> None:
        raise NameStoreError("no space")

    journal = server._journal  # noqa: SLF001 - its disk
    honest = journal.write
    monkeypatch.setattr(journal, "write", full)
    answer = await register(server, ALICE)
    assert (answer.status, answer.json["code"]) == (503, "busy")
    assert chain.reservations == 0
    monkeypatch.setattr(journal, "write", honest)
    assert (await register(server, ALICE)).status == 200


async def test_a_broken_index(serve: Serve) -> None:
    """A lookup that fails is a temporary error."""
    server = await serve()
    server.index._database.execute("DROP TABLE names")  # noqa: SLF001 - as a broken disk would

    assert (await get(server, "/name/alice")).status == 503
    assert (await register(server, ALICE)).status == 503


async def test_metrics(serve: Serve, chain: FakeChain) -> None:
    """What operators watch."""
    server = await serve()
    await register(server, ALICE)
    await get(server, "/name/alice")

    page = await get(server, "/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    lines = page.body.decode().splitlines()
    for line in (
        "shoal_names_registered 1.0",
        "shoal_names_chain_up 1.0",
        'shoal_names_requests_total{kind="lookups"} 1.0',
        'shoal_names_registrations_total{event="registered"} 1.0',
        'shoal_names_answers_total{status="2xx"} 2.0',
        "shoal_names_balance 2.5",
    ):
        assert line in lines
    health = (await get(server, "/healthz")).json
    assert (health["names"], health["chain_id"], health["read_only"]) == (1, 77, False)
    assert health["registry"] == str(chain.registry.address)
    assert (health["payer"], health["balance_wei"]) == (str(chain.payer), str(25 * 10**17))


async def test_one_process_per_folder(serve: Serve, tmp_path: Path) -> None:
    """The second is told who has it; the folder is free again afterwards."""
    server = await serve()
    with pytest.raises(NameStoreError, match="in use"):
        await serve()
    await server.close()
    await server.close()
    await serve()
    (tmp_path / "file").write_text("")
    with pytest.raises(NameStoreError):
        await serve(folder="file")


async def test_another_chain_is_not_served_from_this_folder(serve: Serve) -> None:
    """Nor are promises for one chain carried out on another."""
    server = await serve()
    await server.close()
    other = FakeChain()
    other.id = 78
    with pytest.raises(NameStoreError, match="another folder"):
        await serve(on=other)
    await serve()


async def test_tls(serve: Serve, certificate: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """HTTPS, which Jami takes where no scheme is given."""
    for_server, for_client = certificate
    server = await serve(tls=for_server)
    assert server.url.startswith("https://127.0.0.1:")
    async with connected(server.port, ssl=for_client, server_hostname="localhost") as client:
        answer = await client.get("/name/alice", headers="Connection: close\r\n")
        assert answer.status == 404
    async with connected(server.port, ssl=for_client, server_hostname="localhost") as client:
        answer = await client.post("/name/alice", encode_registration(ALICE))
        assert json.loads(answer.body) == {"success": True}


async def test_ipv6(serve: Serve) -> None:
    """Both families on one socket."""
    server = await serve(host="::")
    assert server.url == f"http://[::1]:{server.port}"
    for host in ("::1", "127.0.0.1"):
        async with connected(server.port, host) as client:
            assert (await client.get("/name/alice")).status == 404


def test_who_registers_needs_a_registrar(tmp_path: Path) -> None:
    """Said at once, not at the first registration."""
    chain = FakeChain()
    with pytest.raises(ValueError, match="read-only"):
        NameServer(chain, chain.registry, tmp_path, NameServerConfig())
