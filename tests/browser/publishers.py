"""Publishers: the seed's PHP sample, the samples of the documentation, and curl. Each is a process of its own."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.wire import API_KEY, API_SECRET, secure

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"
INTERPRETERS = {".php": "php", ".py": "python3", ".mjs": "node", ".sh": "sh"}

SEED_PHP = r"""<?php /* PHP POST example */ ?>
<?php
    $hostname = 'cometify.org';
    $apiKey = 37282591;
    $apiSecret = 'dj28DNam!!nx72*';
    $text = 'Hello world!';
    $identifier = 'oneliner';

    $secure = md5($apiKey . md5($apiSecret) . $identifier . $text);

    $data = array(
        'identifier' => $identifier,
        'secret' => 1,
        'text' => $text,
        'secure' => $secure,
    );
    
    $request = "";
    foreach ($data as $key => $value) {
        if ($request) $request .= "&";
        $request .= urlencode($key) . '=' . urlencode($value);
    }
    
    $packet = "POST http://{$hostname}/{$api_key}/push/{$identifier} HTTP/1.1\r\n"
     . "Host: {$hostname}\r\n"
     . "Content-type: application/x-www-form-urlencoded\r\n"
     . "Content-length: " . strlen("{$request}") . "\r\n"
     . "Connection: Close\r\n\r\n"
     . "{$request}";

    $fp = fsockopen($hostname, 80);
    fwrite($fp, $packet);
    fclose($fp);
?>
"""  # noqa: W293


def run(command: list[str], script: str | None = None) -> str:
    """Run a command and return its output. It must succeed and print no error."""
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done
    assert not done.stderr, done
    return done.stdout


def run_seed_php(port: int, text: str) -> None:
    """The seed's sample: its `$api_key` is mended to `$apiKey`, host, port and text are ours, all else is the seed's."""
    script = SEED_PHP
    for old, new in (
        ("{$api_key}", "{$apiKey}"),
        ("'cometify.org'", "'127.0.0.1'"),
        ("fsockopen($hostname, 80)", f"fsockopen($hostname, {port})"),
        ("'Hello world!'", f"'{text}'"),
    ):
        assert script.count(old) == 1
        script = script.replace(old, new)
    assert not run(["php", "-d", "display_errors=stderr", "-d", "error_reporting=-1"], script).strip()


def fill(sample: str, port: int, key: str = API_KEY, secret: str = API_SECRET) -> str:
    """A sample, filled in as its reader would."""
    return (
        sample.replace("http://localhost:8081", f"http://127.0.0.1:{port}")
        .replace("YOUR_API_KEY", key)
        .replace("YOUR_API_SECRET", secret)
    )


def run_text(name: str, sample: str, folder: Path) -> str:
    """Run the sample of this name. Returns its output."""
    path = folder / name
    path.write_text(sample)
    return run([INTERPRETERS[path.suffix], str(path)])


def sample_publisher(name: str) -> Callable[[int, str, Path], None]:
    """The sample, its identifier, text and secret changed to the seed's example."""

    def publish(port: int, text: str, folder: Path) -> None:
        sample = fill((SAMPLES / name).read_text(), port)
        for pattern, new in (
            (r"""(identifier ?= ?['"])chat""", "oneliner"),
            (r"""(text ?= ?['"])Hello from \w+( shell)?""", text),
            (r"(\bsecret ?= ?)0", "1"),
        ):
            sample, count = re.subn(pattern, rf"\g<1>{new}", sample)
            assert count == 1, (name, pattern)
        run_text(name, sample, folder)

    return publish


def curl(port: int, text: str, _folder: Path) -> None:
    run([
        "curl", "-sSf",
        "-d", "identifier=oneliner", "--data-urlencode", f"text={text}", "-d", "secret=1",
        "-d", f"secure={secure('oneliner', text)}", f"http://127.0.0.1:{port}/{API_KEY}/push/oneliner",
    ])  # fmt: skip


PUBLISHERS: dict[str, Callable[[int, str, Path], None]] = {
    "the PHP of the seed": lambda port, text, _folder: run_seed_php(port, text),
    "PHP": sample_publisher("push.php"),
    "Python": sample_publisher("push.py"),
    "Node": sample_publisher("push.mjs"),
    "the shell": sample_publisher("push.sh"),
    "curl": curl,
}
"""Each pushes a text to `oneliner`, secret, as the seed's example does."""
