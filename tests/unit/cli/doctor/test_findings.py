"""Findings, and what a report may tell."""

from __future__ import annotations

from shoal.cli.doctor.findings import Finding, Redactor, Verdict, report

ACCOUNT = "0123456789abcdef0123456789abcdef01234567"
DEVICE = ACCOUNT + "0123456789abcdef01234567"


def test_one_line_each() -> None:
    """A mark, what was looked at, what was seen, what to do."""
    finding = Finding("clock", Verdict.WARNING, "90 seconds ahead", "set it")
    assert finding.line == "! clock        90 seconds ahead → set it"
    assert Finding("UDP", Verdict.OK, "fine").line == "✓ UDP          fine"
    assert finding.to_json()["verdict"] == "warning"


def test_reports_tell_nothing_about_anybody() -> None:
    """Addresses, ids and names are replaced, the same by the same; loopback is everybody's."""
    redact = Redactor({"/home/ada/shoal": "[home]", "/home/ada": "[user's home]", "ada": "[user]"})

    assert redact("/home/ada/shoal and /home/ada of ada") == "[home] and [user's home] of [user]"
    assert redact("seen as 8.8.4.4:4222") == "seen as [address 1]:4222"
    assert redact("at [2606:4700::1]:4222 or 8.8.4.4") == "at [[address 2]]:4222 or [address 1]"
    assert redact("from 192.168.1.7") == "from [private address 3]"
    assert redact("http://127.0.0.1:9 and [::1]") == "http://127.0.0.1:9 and [::1]"
    assert redact(f"{ACCOUNT} on {DEVICE}") == "[id 4] on [id 5]"
    assert redact("Python 3.11.7, 10:30:01, fine: yes") == "Python 3.11.7, 10:30:01, fine: yes"


def test_a_report() -> None:
    """Facts, then findings, redacted."""
    findings = [Finding("DHT in", Verdict.OK, "8.8.4.4 is reached")]
    text = report(findings, {"Shoal": "1.2.3"}, Redactor({}))
    assert text == "shoal doctor\n\nShoal: 1.2.3\n\n✓ DHT in       [address 1] is reached\n"
