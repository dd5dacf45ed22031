"""The workflow that publishes a release: it builds by `make release`, stores no password, and its files are those of dist/."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

WORKFLOW = Path(__file__).parents[2] / ".github/workflows/release.yaml"
VERSION = "1.2.3"


@pytest.fixture
def jobs():
    return yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]


@pytest.fixture
def files(monkeypatch):
    """The names of the files that `make release` writes."""
    monkeypatch.syspath_prepend(WORKFLOW.parents[2] / "scripts" / "release")
    import artifacts

    return {name.format(version=VERSION) for name in artifacts.EXPECTED}


def steps(jobs):
    return [step for job in jobs.values() for step in job["steps"]]


def test_release_is_built_by_make_in_one_job_alone(jobs):
    assert [name for name, job in jobs.items() for step in job["steps"] if step.get("run") == "make release"] == [
        "build"
    ]
    assert all(job["needs"] for name, job in jobs.items() if name != "build")


def test_release_names_the_repository_that_makes_it(jobs):
    (step,) = [step for step in jobs["build"]["steps"] if step.get("run") == "make release"]
    assert step["env"] == {"COMETIFY_REPOSITORY": "${{ github.server_url }}/${{ github.repository }}"}


def test_workflow_holds_no_password(jobs):
    assert "secrets." not in WORKFLOW.read_text("utf-8")
    assert yaml.safe_load(WORKFLOW.read_text("utf-8"))["permissions"] == {}
    publishers = {name for name, job in jobs.items() if job.get("environment")}
    assert publishers == {"pypi", "npm"}
    assert all(jobs[name]["permissions"] == {"id-token": "write"} for name in publishers)


def test_each_action_is_named_by_a_commit(jobs):
    used = [step["uses"] for step in steps(jobs) if "uses" in step]
    assert len(used) > 5
    assert [name for name in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name)] == []


def test_pypi_gets_the_distributions_of_each_project(jobs, files):
    chosen = {
        entry["project"]: {name for name in files if any(fnmatch(name, glob) for glob in entry["files"].split())}
        for entry in jobs["pypi"]["strategy"]["matrix"]["include"]
    }
    assert chosen == {
        "cometify": {f"cometify-{VERSION}-py3-none-any.whl", f"cometify-{VERSION}.tar.gz"},
        "cometify-client": {f"cometify_client-{VERSION}-py3-none-any.whl", f"cometify_client-{VERSION}.tar.gz"},
    }


def test_npm_gets_both_packages(jobs, files):
    (command,) = [step["run"] for step in jobs["npm"]["steps"] if "run" in step]
    pattern = re.search(r"in dist/(\S+);", command)[1]
    assert {name for name in files if fnmatch(name, pattern)} == {
        f"cometify-{VERSION}.tgz",
        f"cometify-node-{VERSION}.tgz",
    }
