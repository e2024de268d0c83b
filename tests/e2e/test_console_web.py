"""The console in a real Chromium: coming in, keys, two people, a phone, and a server that ends."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from nova_client import Status
from nova_proto.identity import folder
from support.browser import PROGRAM, Chromium, Page
from support.mesh import Mesh, Node, met, run, wait_for
from support.secure import SecureMesh
from support.tools import absent
from support.web_console import WebConsole, gone

from nova_node.identity.authority import Authority

pytestmark = pytest.mark.skipif(PROGRAM is None and absent("chromium"), reason="needs chromium")

ORPHANS_S = 5.0
ENTER = "\r"
CLOSED = "document.getElementById('closed').open && document.getElementById('why').textContent"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mesh, Node]]:
    with Mesh(tmp_path_factory.mktemp("mesh")) as mesh:
        one = mesh.start("one", "--slots", "2")
        mesh.start("two", "--slots", "1")

        async def ready() -> None:
            async with one.client() as client:
                await met(client, 2)

        run(ready())
        yield mesh, one


def browse(path: Path, act: Callable[[Chromium], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with Chromium(path) as chromium:
            await act(chromium)

    asyncio.run(main())


def only_from(page: Page, web: WebConsole) -> bool:
    """Whether it asked nobody else for anything."""
    place = web.url.partition("://")[2]
    return all(url.partition("://")[2].startswith(f"{place}/") for url in page.asked_for)


def test_the_link_opens_once_and_keys_work(pair: tuple[Mesh, Node], tmp_path: Path) -> None:
    mesh, one = pair

    async def act(chromium: Chromium) -> None:
        page = await chromium.page(web.told["link"])
        await page.shows("LIVE", "2/2 up", "one", "two")
        assert await page.js("location.pathname") == "/"
        assert await page.js("document.cookie") == ""
        page.forget()
        await page.type("?")
        await page.shows("Time travel; again for live")
        page.forget()
        await page.press("Escape", 27)
        await page.shows("2/2 up")  # a key that comes with it would be one with alt
        page.forget()
        await page.type(":events" + ENTER)
        await page.shows("Events", "unfold")

        other = await chromium.page(web.told["link"], await chromium.person())
        assert "used up" in await other.until("document.getElementById('trouble')?.textContent")
        assert "--web-link" in await other.until(
            "!document.getElementById('link').hidden && document.body.innerText"
        )

        # installable: a manifest with icons, and a worker that controls the page
        manifest = "fetch('/manifest.webmanifest').then(reply => reply.json())"
        assert await page.js(f"{manifest}.then(found => found.display)") == "standalone"
        await page.until("navigator.serviceWorker.ready.then(w => w.active.state == 'activated')")
        faults = await page.call("Page.getInstallabilityErrors")
        assert faults["installabilityErrors"] == []
        assert only_from(page, web)
        assert (page.troubles, other.troubles) == ([], [])

        tabs = web.tabs()
        await page.js("document.getElementById('out').click()")
        await page.until("location.pathname == '/enter'")
        wait_for(lambda: gone(tabs) or None, "the tab's process to end")

    with WebConsole(mesh, "--node", one.address) as web:
        browse(tmp_path, act)


def test_two_people_at_once_and_a_guest_who_only_looks(
    pair: tuple[Mesh, Node], tmp_path: Path
) -> None:
    mesh, one = pair

    async def act(chromium: Chromium) -> None:
        async with one.client() as client:
            task = await client.submit("core.sleep", {"seconds": 60})
            me = await chromium.page(web.told["link"], await chromium.person())
            guest = await chromium.page(web.told["share"], await chromium.person())
            for page in (me, guest):
                await page.shows("2/2 up")
            assert await guest.until("document.getElementById('only').hidden == false")
            assert await me.js("document.getElementById('only').hidden")

            guest.forget()
            await guest.type(f":cancel {task.id}" + ENTER)
            await guest.shows("not given the right to cancel")
            await guest.type("6")
            await guest.shows("core.sleep seconds:")
            guest.forget()
            await guest.type(ENTER)
            await guest.shows("not given the right to submit")
            assert (await client.get(task.id)).status is Status.RUNNING

            me.forget()
            await me.type(f":cancel {task.id}" + ENTER)
            await me.shows(f"Cancel {task.id}")
            await me.type("y")
            await me.shows(f"{task.id} is cancelled")
            assert (await client.get(task.id)).status is Status.CANCELLED
        held = [dict(tab.environ()).get("NOVA_CLIENT_RIGHTS") for tab in web.tabs()]
        assert sorted(held, key=str) == [None, "read"]

    with WebConsole(mesh, "--node", one.address, "--share") as web:
        browse(tmp_path, act)


def test_it_is_usable_at_a_phones_width(pair: tuple[Mesh, Node], tmp_path: Path) -> None:
    mesh, one = pair

    async def act(chromium: Chromium) -> None:
        page = await chromium.page(web.told["link"], width=390, height=844, phone=True)
        await page.shows("2/2 up", "Topology")
        (wire,) = [url for url in page.asked_for if url.startswith("ws")]
        columns, rows = (int(n) for n in re.findall(r"(?:width|height)=(\d+)", wire))
        assert columns >= 48
        assert rows >= 30
        assert await page.js("document.documentElement.scrollWidth <= innerWidth")
        assert await page.js("document.querySelector('.xterm-screen').clientWidth <= innerWidth")
        smallest = "Math.min(...[...document.querySelectorAll('#keys button')].map(b => {0}))"
        assert await page.js(smallest.format("b.getBoundingClientRect().height")) >= 44
        # the keyboard of the phone comes when it is asked for
        area = "document.querySelector('.xterm-helper-textarea').inputMode"
        assert await page.js(area) == "none"
        await page.tap("#keyboard")
        await page.until(f"{area} == 'text'")

        page.forget()
        await page.tap("#views button:nth-child(7)")
        await page.shows("CPU OF THE MACHINE")
        page.forget()
        await page.tap("#keys [aria-label=down]")
        await page.tap("#keys button:nth-child(10)")
        await page.shows("all keys")
        page.forget()
        await page.tap("#keys button:nth-child(1)")
        await page.shows("CPU OF THE MACHINE")
        assert page.troubles == []

    with WebConsole(mesh, "--node", one.address) as web:
        browse(tmp_path, act)


def test_a_killed_server_leaves_no_orphans_and_the_page_says_so(
    pair: tuple[Mesh, Node], tmp_path: Path
) -> None:
    mesh, one = pair

    async def act(chromium: Chromium) -> None:
        page = await chromium.page(web.told["link"])
        await page.shows("LIVE")  # it came in: the same person's second page may too
        second = await chromium.page(web.url)
        await second.shows("LIVE")
        tabs = web.tabs()
        assert len(tabs) == 2
        await second.until("navigator.serviceWorker.ready.then(w => w.active.state == 'activated')")
        web.process.kill()
        began = time.monotonic()
        wait_for(lambda: gone(tabs) or None, "both tabs to end")
        assert time.monotonic() - began < ORPHANS_S
        assert await page.until(CLOSED) == "The server does not answer"
        await second.open(web.url)
        await second.until("document.body?.innerText.includes('The server does not answer')")
        await page.js("document.getElementById('again').click()")
        await page.until("document.getElementById('hint').textContent.startsWith('Still no')")
        with WebConsole(mesh, "--node", one.address, "--listen", web.url.partition("//")[2]) as new:
            await page.js("document.getElementById('again').click()")
            await page.until("document.body.innerText.includes('nova console --web-link')")
            said = new.nova("console", "--web-link").stdout
            page.forget()
            await page.open(re.findall(r"http://\S+", said)[0])
            await page.shows("LIVE")

    with WebConsole(mesh, "--node", one.address) as web:
        browse(tmp_path, act)


def test_a_server_told_to_end_says_so_and_a_tab_that_breaks_too(
    pair: tuple[Mesh, Node], tmp_path: Path
) -> None:
    mesh, one = pair

    async def act(chromium: Chromium) -> None:
        page = await chromium.page(web.told["link"])
        await page.shows("LIVE")
        (tab,) = web.tabs()
        tab.kill()
        assert await page.until(CLOSED) == "The console ended by itself"
        page.forget()
        await page.js("document.getElementById('again').click()")
        await page.shows("LIVE")
        await page.type("q")
        assert await page.until(CLOSED) == "You left the console"
        page.forget()
        await page.js("document.getElementById('again').click()")
        await page.shows("LIVE")
        (tab,) = web.tabs()
        web.process.send_signal(signal.SIGTERM)
        assert await page.until(CLOSED) == "The server was stopped"
        assert web.process.wait(20) == 0
        assert gone([tab])

    with WebConsole(mesh, "--node", one.address) as web:
        browse(tmp_path, act)


def test_a_closed_tab_ends_its_process(pair: tuple[Mesh, Node], tmp_path: Path) -> None:
    mesh, one = pair

    async def act(chromium: Chromium) -> None:
        page = await chromium.page(web.told["link"])
        await page.shows("LIVE")
        tabs = web.tabs()
        await page.close()
        wait_for(lambda: gone(tabs) or None, "the tab's process to end")
        assert psutil.pid_exists(web.process.pid)

    with WebConsole(mesh, "--node", one.address) as web:
        browse(tmp_path, act)


# ------------------------------------------------------------ beyond this machine


def test_it_is_not_served_to_others_without_members(pair: tuple[Mesh, Node]) -> None:
    mesh, one = pair
    done = mesh.nova("console", "--web", "--listen", "0.0.0.0:0", "--node", one.address)
    assert (done.returncode, "is of no mesh" in done.stderr) == (2, True), done.stderr


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureMesh]:
    with SecureMesh(tmp_path_factory.mktemp("lab")) as mesh:
        mesh.start("one", "--slots", "1")
        folder.save(mesh.folder / "identity" / mesh.name, mesh.credentials("admin", "ada"))
        folder.save(mesh.folder / "bob" / mesh.name, mesh.credentials("submitter", "bob"))
        yield mesh


def sign_in(web: WebConsole, code: str, answer: str, at: Path | None = None) -> Any:
    target = f"{code}@{web.url.partition('//')[2]}"
    return web.nova("console", "--web-sign-in", target, typed=f"{answer}\n", at=at)


def secure_console(mesh: SecureMesh) -> WebConsole:
    web = WebConsole(mesh, "--node", mesh.nodes["one"].address, "--listen", "0.0.0.0:0")
    web.told["url"] = re.sub("//.*:", "//127.0.0.1:", web.told["url"])
    return web


def test_members_sign_in_with_keys_that_stay_where_they_are(
    lab: SecureMesh, tmp_path: Path
) -> None:
    async def code_of(page: Page) -> str:
        return str(await page.until("document.getElementById('code')?.textContent"))

    async def act(chromium: Chromium) -> None:
        bobs = await chromium.page(web.url, await chromium.person())
        code = await code_of(bobs)
        declined = await asyncio.to_thread(sign_in, web, code, "n", lab.folder / "bob")
        assert (declined.returncode, "nothing was signed" in declined.stderr) == (5, True)
        done = await asyncio.to_thread(sign_in, web, code, "y", lab.folder / "bob")
        assert done.stdout == "the browser is submitter/bob now and only looks\n"
        assert "served by admin/ada" in done.stderr
        assert web.told["fingerprint"] in done.stderr
        await bobs.shows("1/1 up")
        await bobs.type("D")
        await bobs.shows("not given the right to operate")
        again = await asyncio.to_thread(sign_in, web, code, "y", lab.folder / "bob")
        assert again.returncode != 0

        adas = await chromium.page(web.url, await chromium.person())
        done = await asyncio.to_thread(sign_in, web, await code_of(adas), "y")
        assert done.stdout == "the browser is admin/ada now and may act\n"
        await adas.shows("1/1 up")
        adas.forget()
        await adas.type("D")
        await adas.shows("Drain one?")
        assert await adas.until("document.getElementById('name').textContent") == "admin/ada"
        assert (bobs.troubles, adas.troubles) == ([], [])
        assert only_from(adas, web)
        assert "submitter/bob signed in from 127.0.0.1" in web.said()

    with secure_console(lab) as web:
        browse(tmp_path, act)


def test_strangers_do_not_sign_in(lab: SecureMesh, tmp_path: Path) -> None:
    """Neither a member of another mesh of that name, nor somebody who was revoked since."""
    other = Authority.create(tmp_path / "authority", lab.name, lab.nodes["one"].id)
    folder.save(tmp_path / "stranger" / lab.name, lab.credentials("submitter", "bob", by=other))
    gone_id = lab.credentials("submitter", "gone")
    folder.save(tmp_path / "gone" / lab.name, gone_id)
    lab.authority.revoke(gone_id.name)

    async def act(chromium: Chromium) -> None:
        page = await chromium.page(web.url)
        code = str(await page.until("document.getElementById('code')?.textContent"))
        for who, why in (("stranger", "nobody this mesh trusts"), ("gone", "was revoked")):
            done = await asyncio.to_thread(sign_in, web, code, "y", tmp_path / who)
            assert (done.returncode, why in done.stderr) == (5, True), (who, done.stderr)
        assert await page.js("document.getElementById('code').textContent") == code

    with secure_console(lab) as web:
        browse(tmp_path, act)
