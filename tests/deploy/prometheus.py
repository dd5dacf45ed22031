"""A real Prometheus that scrapes servers of a test with the rules of deploy/, and answers questions about them."""

import json
import math
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from bench.rig.ports import free_port

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"
WITHIN = 60.0
"""Seconds for a start, and for what scrapes must show in the end."""


class Prometheus:
    """`targets`: the ports of admin endpoints, by job."""

    def __init__(self, folder: Path, targets: dict[str, list[int]]) -> None:
        self.port = free_port()
        self.log = folder / "prometheus.log"
        jobs = [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}
            for job, ports in targets.items()
        ]
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path.resolve()) for path in RULES.glob("*.rules.yaml")],
            "scrape_configs": jobs,
        }
        file = folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        self._command = [
            "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def __enter__(self) -> "Prometheus":
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        until = time.monotonic() + WITHIN
        while time.monotonic() < until:
            assert self._process.poll() is None, self.log.read_text()
            with suppress(URLError, ConnectionError), urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5):
                return self
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(20)

    def ask(self, path: str, **query: str) -> Any:
        """The data that a path of the API answers with."""
        with urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{urlencode(query)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def numbers(self, expression: str) -> list[float]:
        """The values that an expression has now. Those that are not a number are left out."""
        values = [float(series["value"][1]) for series in self.ask("query", query=expression)["result"]]
        return [value for value in values if not math.isnan(value)]

    def names(self) -> set[str]:
        """The names of all metrics that were scraped or recorded."""
        return set(self.ask("label/__name__/values"))

    def without_numbers(self, expressions: Iterable[str]) -> list[str]:
        """Those of the expressions that have no value now."""
        return [expression for expression in expressions if not self.numbers(expression)]
