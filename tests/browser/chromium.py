"""Chromium, driven by Playwright: the one engine whose network a test can turn off and on as well."""

from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, Playwright

from tests.browser.engine import Engine, Tab, find

DISABLED = [
    # Each window loads the list below its address bar, as two pages in processes of their own. They take 0.8 s of CPU time, and
    # nobody types there.
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    # A process that waits for the next page, which is seldom opened.
    "SpareRendererForSitePerProcess",
    # Playwright disables these. Its option would have no effect beside this one.
    "AimEnabled",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
]
"""Features of Chromium that the tests do without."""

OPTIONS = [
    f"--disable-features={','.join(DISABLED)}",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def launch(playwright: Playwright) -> Browser:
    """Chromium, which may keep pages in its back/forward cache."""
    path = find("chromium", "chromium", "chromium-browser", "google-chrome")
    return playwright.chromium.launch(
        executable_path=path, args=OPTIONS, ignore_default_args=["--disable-back-forward-cache"]
    )


class ChromiumTab(Tab):
    def __init__(self, page: Page) -> None:
        self.page = page
        self._session = page.context.new_cdp_session(page)

    def open(self, url: str) -> None:
        self.page.goto(url)

    def evaluate(self, expression: str) -> Any:
        return self.page.evaluate(expression)

    def back(self) -> None:
        # Playwright would wait for a load, which a page that was kept does not have.
        history = self._session.send("Page.getNavigationHistory")
        entry = history["entries"][history["currentIndex"] - 1]
        with self.page.expect_event("framenavigated"):
            self._session.send("Page.navigateToHistoryEntry", {"entryId": entry["id"]})

    def close(self) -> None:
        self.page.close()


class Chromium(Engine):
    """One profile of Chromium. Tabs of one origin share its storage and its locks."""

    name = "chromium"

    def __init__(self, browser: Browser) -> None:
        self.context: BrowserContext = browser.new_context()
        self.context.set_default_timeout(15_000)

    def open(self, url: str) -> ChromiumTab:
        tab = ChromiumTab(self.context.new_page())
        tab.open(url)
        return tab

    def close(self) -> None:
        self.context.close()
