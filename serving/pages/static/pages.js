// What a page does beyond links and forms. Everything works without it, only less quickly.
(() => {
  "use strict";
  const $ = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // The reader's time zone, for the next page.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  if (!document.cookie.includes(`leadmatch_zone=${zone}`)) {
    document.cookie = `leadmatch_zone=${zone}; path=/; max-age=31536000; samesite=lax`;
  }

  // Filters apply as they are chosen.
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-auto]");
    if (form) {
      for (const field of form.elements) if (field.name && !field.value) field.disabled = true; // short addresses
      form.submit();
    }
    if (event.target.matches("[data-all]")) {
      all('input[name="ids"]:not(:disabled)').forEach((box) => { box.checked = event.target.checked; });
    }
    if (event.target.matches('[data-all], input[name="ids"]')) count();
  });
  function count() {
    const bulk = $("#bulk");
    if (!bulk) return;
    const chosen = all('input[name="ids"]:checked').length;
    bulk.hidden = chosen === 0;
    $("[data-count]", bulk).textContent = $("[data-count]", bulk).dataset.count.replace("{n}", chosen);
  }
  document.addEventListener("htmx:after:swap", () => {
    count();
    const panel = $("#panel");
    if (panel && $("#panel-body").childElementCount && !panel.open) {
      panel.showModal();
      const first = $("[autofocus], input, button", panel);
      if (first) first.focus();
    }
  });

  const panel = $("#panel");
  if (panel) {
    panel.addEventListener("close", () => { $("#panel-body").replaceChildren(); });
    panel.addEventListener("click", (event) => {
      if (event.target === panel || event.target.closest("[data-close]")) { event.preventDefault(); panel.close(); }
    });
  }

  // Keys: / searches, j and k move, Enter opens (the link has the focus), Escape closes or goes back.
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");
    if (event.key === "Escape") {
      if (panel && panel.open) return; // the dialog closes itself
      if (typing) { event.target.blur(); return; }
      const back = $("[data-escape]");
      if (back) back.click();
      return;
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") {
      const search = $("#search");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
    } else if (event.key === "j" || event.key === "k") {
      const links = all("[data-open]");
      if (!links.length) return;
      const at = links.indexOf(document.activeElement);
      const next = event.key === "j" ? Math.min(at + 1, links.length - 1) : Math.max(at - 1, 0);
      links[next].focus();
      links[next].scrollIntoView({ block: "nearest" });
    }
  });

  // Figures that are being worked out: look again.
  const again = $("[data-again]");
  if (again) setTimeout(() => location.reload(), Number(again.dataset.again));

  // Copy this page's address.
  let telling;
  function tell(text) {
    $("#told").textContent = text;
    clearTimeout(telling);
    telling = setTimeout(() => { $("#told").textContent = ""; }, 2500);
  }
  document.addEventListener("click", (event) => {
    const copy = event.target.closest("[data-copy]");
    if (!copy) return;
    const address = new URL(copy.dataset.copy, location.href).href;
    navigator.clipboard.writeText(address).then(() => tell(copy.dataset.told), () => tell(address));
  });

  // What was tried on the past was tried with another text.
  document.addEventListener("input", (event) => {
    const found = event.target.matches("textarea.code") && $("#replay-found");
    if (found) found.replaceChildren();
  });

  // One details at a time among the taps of a card.
  document.addEventListener("toggle", (event) => {
    if (event.target.open && event.target.matches("details.tap")) {
      all("details.tap[open]", event.target.closest(".taps")).forEach((each) => { if (each !== event.target) each.open = false; });
    }
  }, true);
})();
