"""What the documentation shows, a newcomer will paste: every fenced block of it is put to use.

`pages` says what is done with which language.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.docs.mermaid import faults
from tests.docs.pages import PAGES, ROOT, Block, blocks, blocks_of
from tests.docs.runtimes import in_words_of_trio
from tests.docs.shell import Command, Shell, commands, matches
from tests.serving import SECRET, serving

from stompcore import Command as StompCommand
from stompcore import Frame, FrameDecoder, Limits, RemoteProtocolError, Version

JS = ROOT / "tests" / "interop" / "js"
NODE = shutil.which("node")

LANGUAGES = {"python", "console", "sh", "js", "stomp", "mermaid", "json", "toml", "ini", "text"}
CONSOLES = [page for page in PAGES if any(b.language in ("console", "sh") for b in blocks_of(page))]


# What asyncio's debug mode has to say of a machine that is busy with other things.
_BUSY = re.compile(r"^Executing <.*> took [\d.]+ seconds\n", re.MULTILINE)


def chain(block: Block) -> str:
    """A Python block, behind those that it stands on."""
    parts: list[str] = []
    grounds: dict[str, str] = {}
    for each in blocks_of(block.page):
        if each.language != "python":
            continue
        if "name" in each.directives:
            grounds[each.directives["name"]] = each.text
        if "on" in each.directives:
            parts = [grounds[each.directives["on"]], each.text]
        else:
            parts = [*parts, each.text] if "continues" in each.directives else [each.text]
        if each.line == block.line:
            return "\n".join(parts)
    raise AssertionError(block.name)


def printed_by(block: Block) -> str | None:
    """What the page says that a Python block prints, if it says so."""
    found = list(blocks_of(block.page))
    behind = found[[each.line for each in found].index(block.line) + 1 :]
    return behind[0].text if behind and "prints" in behind[0].directives else None


def run_python(text: str, folder: Path) -> str:
    """What a program prints; it must end well, and say nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", text],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, _BUSY.sub("", done.stderr)) == (0, ""), done.stdout
    return done.stdout


def named(found: list[Block]) -> list[object]:
    return [pytest.param(block, id=block.name) for block in found]


def test_there_is_something_to_run() -> None:
    readme = [block.language for block in blocks_of(ROOT / "README.md")]
    assert readme.count("python") == 3
    assert readme.count("js") == 1
    assert {"docs/embedding.md", "docs/server.md", "docs/index.md"} <= {
        str(page.relative_to(ROOT).as_posix()) for page in PAGES
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_of_a_kind_that_is_tested(page: Path) -> None:
    assert not [b.name for b in blocks_of(page) if b.language not in LANGUAGES]


def check_python(block: Block, text: str, folder: Path) -> None:
    """Run `text`, which is `block` and what it stands on; it prints what the page says, if any."""
    printed, expected = run_python(text, folder), printed_by(block)
    assert expected is None or matches(expected.splitlines(), printed.splitlines()), printed


@pytest.mark.parametrize("block", named(blocks("python")))
def test_a_python_block_runs_and_prints_what_its_page_says(block: Block, tmp_path: Path) -> None:
    check_python(block, chain(block), tmp_path)


@pytest.mark.parametrize("block", named([b for b in blocks("python") if "both" in b.directives]))
def test_a_block_for_both_runtimes_does_the_same_on_trio(block: Block, tmp_path: Path) -> None:
    text = in_words_of_trio(chain(block))
    assert "asyncio" not in text
    check_python(block, text, tmp_path)


def test_what_is_said_to_be_printed_is_compared() -> None:
    said = [block.text for block in blocks("text") if "prints" in block.directives]
    assert said
    assert said == [text for block in blocks("python") if (text := printed_by(block)) is not None]


def test_the_client_of_the_readme_prints_what_it_received(tmp_path: Path) -> None:
    block = next(b for b in blocks_of(ROOT / "README.md") if b.language == "python")
    assert run_python(block.text, tmp_path) == "/topic/room.42 hello\n"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("page", CONSOLES, ids=lambda page: page.name)
def test_a_console_prints_what_its_page_says(page: Path, tmp_path: Path) -> None:
    with Shell(tmp_path, page.read_text("utf-8")) as shell:
        for block in blocks_of(page):
            if block.language in ("console", "sh"):
                if "connected" in block.directives:
                    shell.connect(block.directives["connected"])
                for command in commands(block.language, block.text):
                    shell.run(command)


_JS_HEAD = """
import { createHmac as $hmac } from "node:crypto";
import { Client as $Client } from "@stomp/stompjs";
import { WebSocket as $WebSocket } from "ws";
Object.assign(globalThis, { WebSocket: $WebSocket });
const $part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
function $mint(sub, ttl = 60) {
  const now = Date.now() / 1000;
  const text = `${$part({ alg: "HS256", typ: "JWT" })}.${$part({ sub, iat: now, exp: now + ttl })}`;
  return `${text}.${$hmac("sha256", process.env.SECRET).update(text).digest("base64url")}`;
}
async function freshToken() {
  return $mint("ada", Number(process.env.TTL));
}
let show;
const $shown = new Promise((resolve) => (show = resolve));
"""
_JS_TAIL = """
const $talker = new $Client({
  brokerURL: process.env.URL,
  reconnectDelay: 0,
  connectHeaders: { Authorization: `Bearer ${$mint("talker")}` },
  onConnect: () => {
    const say = () => $talker.publish({ destination: "/topic/room.1", body: "hello" });
    const timer = setInterval(say, 50);
    $shown.then(() => clearInterval(timer));
  },
});
$talker.activate();
console.log(JSON.stringify(await $shown));
await Promise.all([client.deactivate(), $talker.deactivate()]);
"""


@pytest.fixture(scope="module")
def stompjs() -> None:
    """What the blocks for browsers need."""
    if NODE is not None and (JS / "node_modules" / "@stomp" / "stompjs").is_dir():
        return
    reason = "Node.js with the packages of tests/interop/js is not there (make browser-client)"
    if os.environ.get("STOMPCORE_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.mark.usefixtures("stompjs")
@pytest.mark.parametrize("block", named(blocks("js")))
def test_a_block_for_browsers_runs(block: Block) -> None:
    assert NODE is not None
    head, text = _JS_HEAD, block.text
    if "@stomp/stompjs" not in text:
        head += 'import { Client } from "@stomp/stompjs";\n'
    with serving("--ws", "127.0.0.1:0") as server:
        assert "ws://127.0.0.1:8080/ws" in text
        done = subprocess.run(
            [NODE, "--input-type=module"],
            input=head + text.replace("ws://127.0.0.1:8080/ws", server.url) + _JS_TAIL,
            cwd=JS,
            env={
                **os.environ,
                "SECRET": SECRET,
                "URL": server.url,
                "TTL": block.directives.get("ttl", "60"),
            },
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert json.loads(done.stdout) == block.directives.get("shows", "hello")


def frames_in(text: str) -> list[Frame]:
    """The frames of a block, which must be whole and nothing else.

    Raises:
        RemoteProtocolError: they are no frames.
    """
    decoder = FrameDecoder(Limits())
    decoder.version = Version.V1_2
    decoder.receive_data(text.replace("^@", "\0").encode())
    frames = []
    while (frame := decoder.next_frame()) is not None:
        frames.append(frame)
    assert not len(decoder), text
    return frames


@pytest.mark.parametrize("block", named(blocks("stomp")))
def test_frames_are_frames(block: Block) -> None:
    frames = frames_in(block.text)
    assert len(frames) == block.text.count("^@")
    assert frames


def test_what_is_no_frame_would_be_noticed() -> None:
    with pytest.raises(RemoteProtocolError):
        frames_in("SEND\nno colon\n\n^@\n")
    with pytest.raises(AssertionError):
        frames_in("SEND\ndestination:/topic/a\n\nwithout an end\n")
    assert frames_in("SEND\ndestination:/topic/a\n\n^@\n")[0].command is StompCommand.SEND


@pytest.mark.parametrize("block", named(blocks("mermaid")))
def test_a_diagram_can_be_drawn(block: Block) -> None:
    assert not faults(block.text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pie\n",
        "sequenceDiagram\n    participant A\n    A->>B: hello\n",
        "sequenceDiagram\n    participant A\n    A->>A: one; two\n",
        "sequenceDiagram\n    participant A\n    loop ever\n    A->>A: hello\n",
        "stateDiagram-v2\n    A -> B\n",
        "flowchart LR\n    a[not quoted: (]\n",
    ],
)
def test_a_broken_diagram_would_be_noticed(text: str) -> None:
    assert faults(text)


def test_data_can_be_parsed() -> None:
    for block in blocks("json"):
        json.loads(block.text)
    for block in blocks("toml"):
        tomllib.loads(block.text)
    for block in blocks("ini"):
        configparser.ConfigParser().read_string(block.text)


def test_a_console_is_read_as_a_person_reads_it() -> None:
    text = "$ export A=1\n$ echo \\\n>   $A\n1\n"
    assert commands("console", text) == [
        Command("export A=1", []),
        Command("echo \\\n  $A", ["1"]),
    ]
    assert matches(["a ... c", "..."], ["a b c", "d", "e"])
    assert not matches(["a ... c"], ["a b d"])
    assert not matches(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="before any command"):
        commands("console", "what?\n")


def test_a_page_with_a_loose_fence_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\npass\n", "utf-8")
    with pytest.raises(ValueError, match="not closed"):
        list(blocks_of(page))
    page.write_text("<!-- docs: continues -->\n\n```python\npass\n```\n", "utf-8")
    with pytest.raises(ValueError, match="right before"):
        list(blocks_of(page))
