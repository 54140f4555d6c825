"""The console in a real headless Chromium, on a real service with API keys and a rollout."""

import contextlib
import os
import threading
import time

import httpx
import pytest
import registries
import synthetic
from keys import entry

from cluster.registry import Registry
from serve_app.config import ApiKey

ADMIN, WRITER = "nbmf_admins-key", "nbmf_writers-key"
INJECTED = '<img src=x onerror="window.injected=1"> & <b>bold</b>'
PATIENCE_MS = 60_000
TIMES = "\N{MULTIPLICATION SIGN}"
DEPLOYMENTS = ("ingress", "encoder", "decoder")
POLICY = {
    "steps_percent": (50, 100),
    "dwell_s": 3600,
    "min_samples": 5,
    "shadow_sample_percent": 100,
    # Both versions do the same, on two cores that other tests share.
    "warm_up_calls": 0,
    "max_p95_of_stable": 1e9,
    "max_error_rate": 1,
    "candidate_timeout_s": 60,
}


@pytest.fixture(scope="module")
def browser():
    from bench.console.browser import BrowserMissing, chromium

    with contextlib.ExitStack() as stack:
        try:
            browser = stack.enter_context(chromium())
        except BrowserMissing as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"the console is tested in a browser: {error}")
        yield browser


@pytest.fixture(scope="module")
def registry(ray_session, tmp_path_factory):
    registry = Registry(tmp_path_factory.mktemp("console") / "registry")
    for name in ("first", INJECTED):
        manifest = {"name": name, "created_at": "2026-02-02T00:00:00+00:00", "architecture": "none"}
        registries.publish(registry, manifest, {"file": name.encode()})
    return registry


@pytest.fixture(scope="module")
def candidate(registry):
    return next(i for i in registry.list_ids() if i != registry.channels().stable)


@pytest.fixture(scope="module")
def url(browser, service, registry):
    """Of an application of its own, which asks for keys, under constant load."""
    from serve_app.deploy.deploy import applications, run, undeploy
    from serve_app.rollout_policy import RolloutPolicy

    small = {"max_replicas": 1, "num_cpus": 0.2}
    keys = [entry("ops", ADMIN, "admin"), entry("writer", WRITER, "encode", "decode")]
    config = service.config.model_copy(
        update={
            **{name: getattr(service.config, name).model_copy(update=small) for name in DEPLOYMENTS},
            "api_keys": tuple(ApiKey(**key) for key in keys),
            "rollout": RolloutPolicy(**POLICY),
        }
    )  # fmt: skip
    run(applications(config, registry.location, registry.resolve(), "console"), route_prefix="/for-console")
    wait_until_routed(f"{service.url}/for-console")
    stop, bad = threading.Event(), []

    def load():
        headers = {"Authorization": f"Bearer {WRITER}"}
        with httpx.Client(base_url=f"{service.url}/for-console", headers=headers, timeout=60) as client:
            while not stop.wait(0.05):
                answer = client.post("/v1/encode", json={"payload": synthetic.records(1, seed=8)[0]})
                if answer.status_code != 200:
                    bad.append(answer.text)

    thread = threading.Thread(target=load)
    thread.start()
    yield f"{service.url}/for-console"
    stop.set()
    thread.join()
    undeploy("console")
    assert bad == []


def wait_until_routed(url):
    """Serve's proxy may learn of a new application a moment after it runs; until then another answers 404."""
    for _ in range(PATIENCE_MS // 200):
        if all(httpx.get(f"{url}/healthz", timeout=60).status_code == 200 for _ in range(5)):
            return
        time.sleep(0.2)
    raise AssertionError(f"{url} is not routed to")


@pytest.fixture
def page(browser, url):
    """A tab. Nothing may go wrong in it unless `page.allowed` says so, and nothing leave the service's origin."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.allowed = ()
    troubles, asked = [], []
    page.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}/console")
    yield page
    assert [t for t in troubles if not any(allowed in t for allowed in page.allowed)] == []
    assert [u for u in asked if not u.startswith(url)] == []
    context.close()


@pytest.fixture
def signed_in(page):
    page.allowed = ("401",)  # the first request has no key yet
    sign_in(page, ADMIN)
    page.locator("#board").wait_for()
    return page


def sign_in(page, key):
    page.get_by_label("API key").fill(key)
    page.get_by_label("API key").press("Enter")


def confirm(page, opener, yes):
    """Presses a button, and the one that confirms."""
    page.get_by_role("button", name=opener).click()
    page.get_by_role("dialog").get_by_role("button", name=yes, exact=True).click()
    page.locator("#confirm").wait_for(state="hidden")


def state(page, text):
    page.locator("#state", has_text=text).wait_for()


def test_signing_in_and_out(page):
    page.allowed = ("401", "403")
    page.get_by_text("This server asks for an API key.").wait_for()
    assert page.locator("#board").is_hidden()
    sign_in(page, "nbmf_wrong")
    page.get_by_text("none of this server's").wait_for()
    sign_in(page, WRITER)
    page.get_by_text("has not the role that this needs: admin").wait_for()
    sign_in(page, "schlüssel")
    page.get_by_text("That is no API key").wait_for()
    sign_in(page, ADMIN)
    page.locator("#board").wait_for()
    assert page.locator("#connection").inner_text() == "Live"
    assert page.evaluate("Object.values(sessionStorage)") == [ADMIN]
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    page.reload()
    page.locator("#board").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_text("This server asks for an API key.").wait_for()
    assert page.evaluate("sessionStorage.length") == 0
    assert page.locator("#board").is_hidden()


def test_what_is_shown(signed_in, registry):
    page = signed_in
    stable = registry.channels().stable
    page.locator("#versions tbody tr").nth(1).wait_for()
    assert page.locator("#versions tbody tr").count() == 2
    row = page.locator("#versions tbody tr", has_text=stable[:12])
    assert "stable" in row.inner_text()
    assert "100 %" in row.inner_text()
    assert row.get_by_role("button").count() == 0
    # Live: a chart of each kind gets a line, and the table a ratio.
    page.locator(".chart path.line.stable[d*=L]").nth(2).wait_for(state="attached")
    page.locator("#versions tbody tr td:nth-child(7)", has_text=TIMES).first.wait_for()
    assert "Ratio, latest. first" in page.locator(".chart svg").first.get_attribute("aria-label")
    page.locator(".chart svg").first.focus()
    page.keyboard.press("ArrowLeft")
    assert TIMES in page.locator(".chart .tip").first.inner_text()
    # What does not change is not made anew.
    page.evaluate("window.kept = [...document.querySelectorAll('#board td, #board path, #board li')]")
    before = page.locator("#as-of").inner_text()
    page.wait_for_function("before => document.querySelector('#as-of').textContent !== before", arg=before)
    assert page.evaluate("window.kept.every((element) => element.isConnected)")


def test_records_that_do_not_fit(signed_in, registry):
    """Shown while there are such, with numbers and advice."""
    page = signed_in
    fit = {
        "version": registry.channels().stable, "kind": "text", "records": 300, "bits_per_byte": 3.125,
        "expected_bits_per_byte": 1.5, "verdict": "does not fit", "mismatch": True, "since": 0.0, "advice": INJECTED,
    }  # fmt: skip

    def answer(route):
        found = route.fetch()
        route.fulfill(response=found, json=found.json() | {"fits": [fit, fit | {"kind": "json", "mismatch": False}]})

    assert page.locator("#fits").is_hidden()
    page.route("**/v1/admin/recent", answer)
    page.locator("#fits li").wait_for()
    (line,) = page.locator("#fits li").all_inner_texts()
    assert "text records do not fit first (" in line
    assert f": 3.13 bits a byte, 1.50 in training. {INJECTED}" in line
    page.unroute("**/v1/admin/recent")
    page.locator("#fits li").wait_for(state="detached")
    assert page.evaluate("window.injected") is None


def test_names_are_text(signed_in):
    page = signed_in
    page.locator("#versions").get_by_text(INJECTED).wait_for()
    assert page.locator("#board img, #board td b b").count() == 0
    assert page.evaluate("window.injected") is None


@pytest.mark.slow
def test_a_rollout_by_its_buttons(signed_in, registry, candidate, url):
    page = signed_in
    row = page.locator("#versions tbody tr", has_text=candidate[:12])
    opener = row.get_by_role("button")
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert "50 %, 100 % of keys" in dialog.inner_text()
    assert page.evaluate("document.activeElement.id") == "confirm-no"
    page.keyboard.press("Escape")
    page.locator("#confirm").wait_for(state="hidden")
    state(page, "none")
    opener.click()
    dialog.get_by_role("button", name="Start rollout").click()
    state(page, "staged")
    page.locator("#gates tbody tr", has_text="ratio").wait_for()
    page.locator("#history li", has_text="with API key ops").wait_for()
    page.locator("#reason", has_text="more in this state").wait_for()
    page.wait_for_function("() => !document.querySelector('#reason').textContent.includes('loading the candidate')")
    confirm(page, "Advance to 50 %", "Advance to 50 %")
    state(page, "canary 50 %")
    page.locator("#traffic .candidate", has_text="50 %").wait_for()
    page.locator(".chart path.line.candidate").first.wait_for(state="attached")
    confirm(page, "Pause", "Pause")
    state(page, "paused")
    assert page.get_by_role("button", name="Pause").count() == 0
    confirm(page, "Resume", "Resume")
    page.get_by_role("button", name="Pause").wait_for()
    assert page.locator("#steps [aria-current=step]").inner_text() == "50 %"
    confirm(page, "Roll back", "Roll back")
    state(page, "rolled back")
    page.locator("#actions").wait_for(state="hidden")
    # Over the API it is the same.
    headers = {"Authorization": f"Bearer {ADMIN}"}
    rollout = httpx.get(f"{url}/v1/admin/rollout", headers=headers).json()["rollout"]
    assert (rollout["candidate"], rollout["state"]) == (candidate, "rolled_back")
    assert rollout["reason"] == "rolled back by hand, with API key ops"
    lines = httpx.get(f"{url}/v1/admin/rollout/history", headers=headers).json()["transitions"]
    assert [line["after"]["state"] for line in lines] == ["rolled_back", "canary", "staged"]


def test_a_button_that_comes_too_late(signed_in, registry, candidate, url):
    """Someone else was first: the reason is told, and the dialog stays."""
    page = signed_in
    page.allowed = ("401", "409")
    page.locator("#versions tbody tr", has_text=candidate[:12]).get_by_role("button").click()
    headers = {"Authorization": f"Bearer {ADMIN}"}
    with httpx.Client(base_url=f"{url}/v1/admin/rollout", headers=headers) as client:
        client.post("/start", json={"version": candidate}).raise_for_status()
        page.get_by_role("button", name="Start rollout").click()
        page.get_by_role("alert").get_by_text("is being rolled out").wait_for()
        page.get_by_role("button", name="Cancel").click()
        client.post("/rollback").raise_for_status()
    state(page, "rolled back")


def test_the_service_goes_away_and_comes_back(signed_in):
    page = signed_in
    page.allowed = ("401", "ERR_INTERNET_DISCONNECTED")
    page.context.set_offline(True)
    page.locator("#connection", has_text="Offline").wait_for()
    page.get_by_text("The server does not answer. Trying again.").wait_for()
    assert "the server does not answer" in page.locator("#as-of").inner_text()
    assert page.locator("#board.stale").count() == 1
    page.context.set_offline(False)
    page.locator("#connection", has_text="Live").wait_for()
    page.locator("#notice").wait_for(state="hidden")
    assert page.locator("#board.stale").count() == 0


def test_signing_out_while_the_service_is_away(signed_in):
    """Nothing of the service stays on the screen."""
    page = signed_in
    page.allowed = ("401", "ERR_INTERNET_DISCONNECTED")
    page.context.set_offline(True)
    page.locator("#connection", has_text="Offline").wait_for()
    page.get_by_role("button", name="Sign out").click()
    assert page.locator("#board").is_hidden()
    assert page.evaluate("sessionStorage.length") == 0
    page.context.set_offline(False)
    page.get_by_text("This server asks for an API key.").wait_for()
    assert page.locator("#board").is_hidden()


def test_a_fault_of_the_service(signed_in):
    page = signed_in
    page.allowed = ("401", "503")
    broken = '{"error": {"code": "registry_error", "message": "the registry is away"}}'
    page.route("**/v1/admin/rollout", lambda route: route.fulfill(status=503, body=broken))
    page.get_by_text("the registry is away").wait_for()
    page.unroute("**/v1/admin/rollout")
    page.locator("#connection", has_text="Live").wait_for()


@pytest.mark.parametrize("width", [360, 800, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_small_and_dark(signed_in, width, scheme):
    page = signed_in
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    text, ground = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.querySelector('.card')).backgroundColor]"
    )
    assert contrast(text, ground) > 10
    dim = page.evaluate("getComputedStyle(document.querySelector('.summary + .steps ~ .reason')).color")
    assert contrast(dim, ground) > 4.5
    assert (luminance(ground) < 0.1) == (scheme == "dark")


def luminance(colour):
    """Of `rgb(r, g, b)`, as WCAG has it."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
