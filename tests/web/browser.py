"""The page in a real Chromium: `make test-web`. Every control, live updates, the address, axe.

Each test ends with no script error and no violation of the content security policy.
"""

from __future__ import annotations

import csv
import re
import shutil
import threading
from contextlib import contextmanager

import orjson
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from stream_monitor import topics
from stream_monitor.broker import EmbeddedBroker, free_port
from stream_monitor.feed import FeedState, FixedFeed, LiveFeed
from stream_monitor.web import server
from stream_monitor.web.app import Options, create
from tests.test_feed import now_ms, pipeline_until, publish
from tests.tui import data
from tests.tui.data import values_of
from tests.web.serving import TOKEN, half_read, moving, served
from tests.workers import wait_for

HOSTILE = "<img src=x onerror=\"document.title='broken'\">&lt;b&gt;"
SECONDS = 30_000
expect.set_options(timeout=SECONDS)


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium):
    """Opens pages; afterwards none of them has complained."""
    said, contexts = [], []

    def open_page(address, *, size=(1280, 900), scheme="light", ready=True, **options):
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, accept_downloads=True, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SECONDS)
        page.add_init_script(
            "window.violations = []; document.addEventListener('securitypolicyviolation',"
            "e => window.violations.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample))"
        )
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("console", lambda m: said.append(m.text) if "Content Security Policy" in m.text else None)
        page.goto(address)
        if ready:
            drawn(page)
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            said += page.evaluate("window.violations || []")
        context.close()
    assert said == []


def until(page, expression):
    """Asked from here: Playwright's own wait evaluates strings in the page, which its policy forbids."""
    wait_for(lambda: page.evaluate(expression), 60)


def drawn(page):
    page.wait_for_selector(".chart .main-svg")
    until(page, "document.querySelectorAll('#series tbody tr').length > 0")


DRAWN = "[...document.querySelectorAll('.chart:has(.main-svg)')].map(one => one.dataset.name).join()"
CHARTS = ["volume", "latency", "errors", "share", "latency_by", "lag", "confidence", "drift"]


def all_drawn(page):
    """Those out of sight, too."""
    until(page, f"{DRAWN}.length > 0 && document.querySelectorAll('.chart').length >= 2")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")


def hide(page, is_hidden):
    """As a browser does with a tab behind another one; those of a headless one are all in sight."""
    value = str(is_hidden).lower()
    page.evaluate(
        f"Object.defineProperty(document, 'hidden', {{ configurable: true, get: () => {value} }});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


@pytest.fixture(scope="module")
def site():
    feed, now = moving()
    with served(feed) as (address, hub):
        yield address, feed, now, hub


@pytest.fixture
def page(site, opened):
    return opened(site[0])


def rows(page):
    return page.locator("#series tbody tr").evaluate_all("rows => rows.map(r => r.dataset.name)")


def card(page, n):
    return page.locator(".card .value").nth(n).inner_text()


def test_the_first_look(page):
    expect(page.locator("#state .text")).to_have_text("live")
    assert page.locator(".card").count() == 6
    assert card(page, 0) == "6.9k"
    names = page.locator(".chart").evaluate_all("all => all.map(one => one.dataset.name)")
    assert names == CHARTS
    expect(page.locator(".alert.firing")).to_contain_text("consumer-lag")
    assert len(rows(page)) == 21


def test_the_range(page):
    for value, step in (
        ("now-6h", "5m"),
        ("now-24h", "15m"),
        ("now-7d", "1h"),
        ("now-30d", "6h"),
        ("now-1h", "1m"),
    ):
        page.select_option("#range", value)
        expect(page.locator("#within")).to_contain_text(f"in steps of {step};")
        assert (f"from={value}" in page.url) == (value != "now-1h")
    page.select_option("#range", "custom")
    page.fill("#from", "2024-01-15 09:45")
    page.fill("#to", "2024-01-15T10:00:00Z")
    page.click("#custom button")
    expect(page.locator("#within")).to_contain_text("2024-01-15 09:45 – 2024-01-15 10:00 UTC")
    expect(page.locator("#state .text")).to_have_text("not live")
    page.fill("#to", "soon")
    page.click("#custom button")
    expect(page.locator("#banner")).to_contain_text("is no time")
    page.wait_for_timeout(6_000)
    expect(page.locator("#banner")).to_contain_text("is no time")
    expect(page.locator("#state .text")).to_have_text("not shown")
    page.fill("#to", "now")
    page.fill("#from", "now-2h")
    page.click("#custom button")
    expect(page.locator("#state .text")).to_have_text("live")
    expect(page.locator("#banner")).to_be_hidden()
    page.go_back()
    page.go_back()
    expect(page.locator("#within")).to_contain_text("2024-01-15 09:45 – 2024-01-15 10:00 UTC")


def test_the_filter_and_the_components(page):
    page.fill("#filter", "kafka:")
    expect(page.locator("#series tbody tr")).to_have_count(5)
    assert "q=kafka%3A" in page.url
    assert all(name.startswith("kafka:") for name in rows(page))
    page.fill("#filter", "")
    expect(page.locator("#series tbody tr")).to_have_count(21)
    page.click("#components")
    expect(page.locator("#picker-list input")).to_have_count(21)
    page.fill("#picker-search", "ml fraud")
    expect(page.locator("#picker-list input")).to_have_count(1)
    page.check("#picker-list input")
    page.fill("#picker-search", "event orders")
    expect(page.locator("#picker-list input")).to_have_count(0)
    page.fill("#picker-search", "payments")
    page.check("#picker-list input")
    page.click("#picker .primary")
    expect(page.locator("#series tbody tr")).to_have_count(2)
    expect(page.locator("#components")).to_have_text("2 chosen")
    chosen = rows(page)
    assert card(page, 0) != "6.9k"
    page.reload()
    drawn(page)
    expect(page.locator("#series tbody tr")).to_have_count(2)
    assert rows(page) == chosen
    page.click("#components")
    page.click("#picker-none")
    page.click("#picker .primary")
    expect(page.locator("#series tbody tr")).to_have_count(21)


def test_the_order(page):
    page.click("#series th:has-text('p99') button")
    expect(page.locator("#series th[aria-sort=descending]")).to_contain_text("p99")
    until(page, "document.querySelector('#series tbody tr').dataset.name.startsWith('airflow:feature')")
    assert "sort=-p99_ms" in page.url
    page.click("#series th:has-text('component') button")
    expect(page.locator("#series th[aria-sort=ascending]")).to_contain_text("component")
    until(page, "document.querySelector('#series tbody tr').dataset.name.startsWith('kafka:audit')")


def test_live_updates_and_their_interval(site, opened):
    address, feed, now, _ = site
    page = opened(f"{address}/?every=2")
    before = page.locator("#within").inner_text()
    now[0] += 120_000
    feed.changes += 1
    expect(page.locator("#within")).not_to_have_text(before)
    page.select_option("#every", "0")
    expect(page.locator("#state .text")).to_have_text("paused")
    page.wait_for_timeout(500)
    before = page.locator("#within").inner_text()
    now[0] += 120_000
    feed.changes += 1
    page.wait_for_timeout(3_000)
    assert page.locator("#within").inner_text() == before
    page.click("#refresh")
    expect(page.locator("#within")).not_to_have_text(before)
    page.select_option("#every", "60")
    assert "every=60" in page.url
    page.select_option("#every", "auto")
    assert "every" not in page.url
    now[0] = data.NOW
    feed.changes += 1


def test_the_csv_is_what_is_shown(site, opened):
    page = opened(f"{site[0]}/?q=kafka%3A&sort=-p99_ms&every=0")
    with page.expect_download() as download:
        page.click("#export")
    with download.value.path().open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    shown = page.locator("#series tbody td.entity").all_inner_texts()
    assert [row["entity"] for row in found] == shown
    assert len(found) == 5
    assert download.value.suggested_filename.endswith(".csv")


def test_the_theme(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(247, 248, 250)"
    page.click("#theme")
    until(page, f"{ground} === 'rgb(20, 23, 26)'")
    assert "theme=dark" in page.url
    until(page, "document.querySelector('.chart').chart.figure.layout.font.color === '#d6dee6'")
    page.reload()
    drawn(page)
    assert page.evaluate(ground) == "rgb(20, 23, 26)"
    page.click("#theme")
    until(page, f"{ground} === 'rgb(247, 248, 250)'")


def test_a_click_on_a_point_opens_its_log_records(page):
    bars = page.locator(".chart[data-name=errors] .bars path")
    heights = bars.evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    tallest = bars.nth(heights.index(max(heights)))
    tallest.scroll_into_view_if_needed()
    box = tallest.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
    page.wait_for_timeout(300)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("#logs")).to_be_visible()
    expect(page.locator("#logs-said")).to_contain_text("the step of")
    expect(page.locator("#logs-list details").first).to_contain_text("error")
    expect(page.locator("#logs-list pre").first).to_contain_text('"level"')
    page.click("#logs-list button:has-text('neighbours')")
    until(page, "document.querySelectorAll('#logs-list details pre').length > 5")
    page.keyboard.press("Escape")
    expect(page.locator("#logs")).to_be_hidden()
    page.click("#series tbody tr:first-child .entity button")
    expect(page.locator("#logs-list details").first).to_be_visible()


def test_keyboard_only(page):
    """Tab reaches every control; what a mouse does keys do."""
    page.focus("body")
    reached, seen = [], set()
    for _ in range(120):
        page.keyboard.press("Tab")
        what = page.evaluate(
            "(() => { const e = document.activeElement; return e.id || (e.closest('th') ? 'th ' + e.textContent : "
            "e.closest('td') ? 'td' : e.tagName + e.className); })()"
        )
        reached.append(what)
        seen.add(what)
        if what == "td":
            break
    assert {"range", "filter", "components", "every", "refresh", "export", "theme"} <= seen
    assert {"SUMMARY", "th p99", "th component", "td"} <= {re.sub(r" [↑↓]$", "", one) for one in seen}
    assert "A" + "skip" in reached[:2]
    page.keyboard.press("Enter")
    expect(page.locator("#logs")).to_be_visible()
    page.keyboard.press("Escape")
    page.focus("#components")
    page.keyboard.press("Enter")
    expect(page.locator("#picker-list input").first).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.locator("#components")).not_to_have_text("all")
    page.keyboard.press("Escape")
    expect(page.locator("#series tbody tr")).to_have_count(1)
    page.focus(".chart[data-name=latency] summary")
    page.keyboard.press("Enter")
    expect(page.locator(".chart[data-name=latency] table button").first).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#logs")).to_be_visible()


def test_the_focus_stays_while_boards_come(site, opened):
    address, feed, now, _ = site
    page = opened(f"{address}/?every=2")
    page.focus("#series tbody tr:nth-child(3) .entity button")
    name = page.evaluate("document.activeElement.textContent")
    before = page.locator("#within").inner_text()
    now[0] += 60_000
    feed.changes += 1
    expect(page.locator("#within")).not_to_have_text(before)
    assert page.evaluate("document.activeElement.textContent") == name
    now[0] = data.NOW
    feed.changes += 1


def renamed(value):
    record = orjson.loads(value)
    first = next(iter(record["labels"]))
    record["labels"][first] = HOSTILE
    record["entity"] = HOSTILE
    return orjson.dumps(record)


def test_a_hostile_name_stays_text(opened):
    alert = orjson.loads(data.ALERTS[0]) | {"summary": HOSTILE, "rule": HOSTILE, "entity": HOSTILE}
    values = [renamed(value) for value in data.hour()[0]]
    with served(FixedFeed(values, [orjson.dumps(alert)], clock=lambda: data.NOW)) as (address, _):
        page = opened(address)
        all_drawn(page)
        for name in ("volume", "share"):
            page.locator(f".chart[data-name={name}] summary").click()
        page.click("#components")
        expect(page.locator("#picker-list label").first).to_contain_text("<img src=x")
        page.keyboard.press("Escape")
        page.hover(".chart[data-name=volume] .plot")
        page.wait_for_timeout(500)
        assert page.locator("img").count() == 0
        assert page.locator("image[href*=x]").count() == 0
        assert page.title() == "stream-monitor"
        assert "<img src=x" in page.locator("#series tbody").inner_text()
        assert "<img src=x" in page.locator(".chart[data-name=share] .legend").text_content()
        assert "<img src=x" in page.locator(".alert").inner_text()


def test_an_empty_range_and_a_broker_that_is_away(opened):
    feed = FixedFeed([], clock=lambda: data.NOW)
    with served(feed) as (address, _):
        page = opened(address, ready=False)
        expect(page.locator("#series-said")).to_have_text("There is no data in this range.")
        expect(page.locator(".chart .empty").first).to_have_text("There is no data in this range.")
        feed.now = FeedState("connecting", data.NOW)
        expect(page.locator("#banner")).to_contain_text("Connecting to Kafka")
        feed.now = FeedState("missing", data.NOW, "topic x is missing; make it with: stream-monitor topics apply")
        expect(page.locator("#banner")).to_contain_text("make it with: stream-monitor topics apply")
        expect(page.locator("#state .text")).to_have_text("no topics")
        feed.now = FeedState("lost", data.NOW, "no Kafka broker answers at 127.0.0.1:9")
        expect(page.locator("#banner")).to_contain_text("no Kafka broker answers at 127.0.0.1:9")
        expect(page.locator("body.dimmed")).to_have_count(1)
        feed.now = FeedState("live", data.NOW, skew_ms=-600_000)
        expect(page.locator("#banner")).to_contain_text("a worker works off a backlog")
        feed.now = FeedState("live", data.NOW + 1, last_record_ms=data.NOW - 1_000_000)
        expect(page.locator("#banner")).to_contain_text("is a worker running?")
        feed.now = FeedState("live", data.NOW + 2, last_record_ms=data.NOW)
        expect(page.locator("#banner")).to_be_hidden()
        expect(page.locator("body.dimmed")).to_have_count(0)


def test_too_many_browsers_are_told_so(opened):
    with served(most_clients=1) as (address, hub):
        first = opened(address)
        second = opened(address, ready=False)
        expect(second.locator("#banner")).to_contain_text("1 clients listen already")
        first.close()
        wait_for(lambda: hub.clients == 0, 30)
        drawn(second)
        expect(second.locator("#banner")).to_be_hidden()


def test_charts_are_drawn_when_they_come_near_and_all_of_them_on_paper(site, opened):
    page = opened(f"{site[0]}/?every=0", size=(1280, 700))
    until(page, "performance.getEntriesByName('charts in sight').length")
    assert page.evaluate(DRAWN).split(",") == CHARTS[: len(page.evaluate(DRAWN).split(","))]
    assert "drift" not in page.evaluate(DRAWN)
    assert page.locator(".chart[data-name=drift] .plot").get_attribute("aria-label")
    page.locator(".chart[data-name=drift]").scroll_into_view_if_needed()
    until(page, "document.querySelector('.chart[data-name=drift] .main-svg')")
    page.evaluate("scrollTo(0, 0)")
    page.click("#theme")
    until(page, "document.querySelector('.chart').chart.figure.layout.font.color === '#d6dee6'")
    page.wait_for_timeout(1_000)
    colour = "document.querySelector('.chart[data-name=drift] .plot').layout.font.color"
    assert page.evaluate(colour) != "#d6dee6", "drawn anew when it is near"
    page.locator(".chart[data-name=drift]").scroll_into_view_if_needed()
    until(page, f"{colour} === '#d6dee6'")
    page.reload()
    drawn(page)
    assert page.pdf()
    assert page.evaluate(DRAWN).split(",") == CHARTS


def test_a_tab_that_nobody_sees_holds_no_connection(opened):
    feed, now = moving()
    with served(feed) as (address, hub):
        first = opened(f"{address}/?every=2")
        pages = [first]
        for _ in range(7):  # a browser has six connections to a server
            hide(pages[-1], True)
            pages.append(first.context.new_page())
            pages[-1].goto(f"{address}/?every=2")
            drawn(pages[-1])
        wait_for(lambda: hub.clients == 1, 30)
        before = first.locator("#within").inner_text()
        now[0] += 60_000
        feed.changes += 1
        expect(pages[-1].locator("#within")).not_to_have_text(before)
        assert first.locator("#within").inner_text() == before
        hide(pages[-1], True)
        hide(first, False)
        expect(first.locator("#within")).not_to_have_text(before)
        wait_for(lambda: hub.clients == 1, 30)


def test_with_refresh_off_what_is_shown_stays_wherever_the_tab_was(opened):
    feed, now = moving()
    with served(feed) as (address, hub):
        page = opened(f"{address}/?every=0")
        until(page, "performance.getEntriesByName('charts in sight').length")
        before = page.locator("#within").inner_text()
        now[0] += 120_000
        feed.changes += 1
        hide(page, True)
        wait_for(lambda: hub.clients == 0, 30)
        hide(page, False)
        wait_for(lambda: hub.clients == 1, 30)
        page.wait_for_timeout(2_000)
        assert page.locator("#within").inner_text() == before
        feed.now = FeedState("lost", data.NOW, "no Kafka broker answers")
        expect(page.locator("#banner")).to_contain_text("no Kafka broker answers")
        feed.now = FeedState("live", data.NOW)
        page.click("#refresh")
        expect(page.locator("#within")).not_to_have_text(before)


def test_a_page_that_comes_back_out_of_the_browsers_memory_goes_on(opened):
    feed, now = moving()
    with served(feed) as (address, hub):
        page = opened(f"{address}/?every=2")
        page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
        wait_for(lambda: hub.clients == 0, 30)
        before = page.locator("#within").inner_text()
        now[0] += 60_000
        feed.changes += 1
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
        expect(page.locator("#within")).not_to_have_text(before)
        page.goto(f"{address}/api/v1/alerts")
        wait_for(lambda: hub.clients == 0, 30)
        page.go_back()
        drawn(page)
        expect(page.locator("#state .text")).to_have_text("live")
        assert hub.clients == 1


def test_no_csv_of_half_a_range(opened):
    with served(half_read()) as (address, _):
        page = opened(address)
        page.click("#export")
        expect(page.locator("#banner")).to_contain_text("Ask for the CSV when it has been")
        assert page.url == f"{address}/"


def test_every_control_and_chart_has_a_name_of_its_own(page):
    """As a screen reader says it."""
    names = [
        page.locator(f"#{name}").evaluate("e => e.getAttribute('aria-label') || (e.labels && e.labels[0] ? "
                                          "e.labels[0].querySelector('span').textContent : e.textContent)")
        for name in ("range", "filter", "every", "refresh", "export", "theme")
    ]  # fmt: skip
    assert len({*names}) == len(names)
    assert all(names)
    labels = page.locator(".chart .plot").evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    assert len({*labels}) == len(CHARTS)


@contextmanager
def at_port(port):
    app, hub = create(data.feed(), Options())
    over = threading.Event()
    listener = server.listen("127.0.0.1", port)
    thread = threading.Thread(target=server.serve, args=(app, listener, over.is_set, hub.close), daemon=True)
    thread.start()
    yield
    over.set()
    thread.join(120)


def test_a_server_that_goes_and_comes_back(opened):
    port = free_port()
    with at_port(port):
        page = opened(f"http://127.0.0.1:{port}/?every=2")
        page.evaluate("window.same = true")
    since = "The server has not answered since 2024-01-15 1"  # by the server's clock, not by the browser's
    expect(page.locator("#banner")).to_contain_text(since, timeout=SECONDS)
    expect(page.locator("body.dimmed")).to_have_count(1)
    with at_port(port):
        expect(page.locator("#banner")).to_be_hidden(timeout=2 * SECONDS)
        expect(page.locator("#state .text")).to_have_text("live")
        assert page.evaluate("window.same"), "without a reload"


def test_the_token(opened):
    with served(token=TOKEN) as (address, _):
        page = opened(f"{address}/?from=now-6h", ready=False)
        page.fill("#token", "not the right one, I fear")
        page.keyboard.press("Enter")
        page.wait_for_url("**/login?wrong&from=now-6h")
        expect(page.locator("#wrong")).to_have_text("That is not the token.")
        page.fill("#token", TOKEN)
        page.keyboard.press("Enter")
        drawn(page)
        assert "from=now-6h" in page.url
        assert TOKEN not in page.url
        assert TOKEN not in page.evaluate("document.cookie")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["desk", "phone"])
def test_axe_finds_nothing_serious(site, opened, scheme, size):
    page = opened(site[0], scheme=scheme, size=size)
    all_drawn(page)
    page.locator(".chart[data-name=errors] summary").click()
    found = serious(page)
    page.click("#components")
    expect(page.locator("#picker-list input").first).to_be_visible()
    found += serious(page)
    assert found == []


def serious(page):
    results = Axe().run(page).response
    assert len(results["passes"]) > 15
    return [
        (one["id"], [node["html"][:200] for node in one["nodes"]][:3])
        for one in results["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("width", [390, 320])
def test_a_phone_shows_all_of_it_without_scrolling_sideways(site, opened, width):
    page = opened(site[0], size=(width, 844), has_touch=True, is_mobile=True)
    all_drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.select_option("#range", "custom")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#to").bounding_box()["width"] > 100
    for name in ("range", "filter", "components", "every", "refresh", "export", "theme"):
        assert page.locator(f"#{name}").bounding_box()["height"] >= 35


def test_a_broker_that_is_away_and_comes_back(opened, make_settings):
    """The real feed: the page says that the broker is lost, and goes on by itself when it is there again."""
    port = free_port()
    settings = make_settings(f"127.0.0.1:{port}", apply=False, connect_timeout=2.0, request_timeout=3.0)
    feed = LiveFeed(settings)
    with served(feed) as (address, _):
        page = opened(f"{address}/?every=2", ready=False)
        page.evaluate("window.same = true")
        expect(page.locator("#banner")).to_contain_text("no Kafka broker answers")
        for _ in range(2):
            with EmbeddedBroker(port):
                topics.apply(settings, replication_factor=1)
                now = now_ms()
                publish(settings, values_of(pipeline_until(now, 0.1), now_ms=now), "metrics.live")
                expect(page.locator("#state .text")).to_have_text("live", timeout=2 * SECONDS)
                wait_for(
                    lambda: feed.series_count() > 0, 60
                )  # it may have begun between the topics and the records
                drawn(page)
            expect(page.locator("#banner")).to_contain_text("Nothing is read from Kafka", timeout=2 * SECONDS)
            expect(page.locator("body.dimmed")).to_have_count(1)
            drawn(page)  # what was read stays to be seen
        assert page.evaluate("window.same"), "without a reload"
