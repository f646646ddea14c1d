// Every chart in one look: colours from the page's own, zero line visible, no animation that hides the data.
(() => {
  "use strict";
  const drawn = [];
  function colours() {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    return { text: of("--text"), muted: of("--muted"), line: of("--line"), accent: of("--accent"), grey: of("--grey-bar"), good: of("--good"), bad: of("--bad"), card: of("--card") };
  }
  // In an option, "$accent" stands for the page's colour of that name.
  function coloured(value, palette) {
    if (typeof value === "string" && value.startsWith("$")) return palette[value.slice(1)] || value;
    if (Array.isArray(value)) return value.map((each) => coloured(each, palette));
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v, palette)]));
    return value;
  }
  function axis(given, palette, font) {
    const one = (each) => ({
      axisLine: { lineStyle: { color: palette.line } }, axisTick: { show: false },
      splitLine: { lineStyle: { color: palette.line } }, nameTextStyle: { color: palette.muted }, ...each,
      // The room for labels is measured in the label's own font, though they are drawn in the chart's.
      axisLabel: { color: palette.muted, fontFamily: font, ...each.axisLabel },
    });
    return Array.isArray(given) ? given.map(one) : one(given || {});
  }
  function draw() {
    const palette = colours();
    const font = getComputedStyle(document.body).fontFamily;
    for (const element of document.querySelectorAll("[data-chart]")) {
      const known = echarts.getInstanceByDom(element);
      const chart = known || echarts.init(element, null, { renderer: "canvas" });
      if (!known) drawn.push(chart);
      const option = coloured(JSON.parse(element.dataset.chart), palette);
      chart.setOption({
        animation: false, color: [palette.accent, palette.grey, palette.good, palette.bad],
        textStyle: { fontFamily: font, color: palette.text }, grid: { left: 8, right: 16, top: 16, bottom: 8, containLabel: true },
        ...option,
        xAxis: option.xAxis === undefined ? undefined : axis(option.xAxis, palette, font),
        yAxis: option.yAxis === undefined ? undefined : axis(option.yAxis, palette, font),
        // As text in the picture: the content policy lets no markup with styles in.
        tooltip: { trigger: "axis", renderMode: "richText", confine: true, backgroundColor: palette.card, borderColor: palette.line, textStyle: { color: palette.text, fontFamily: font }, ...option.tooltip },
      }, true);
    }
  }
  document.addEventListener("DOMContentLoaded", draw);
  document.addEventListener("htmx:after:swap", draw);
  window.addEventListener("resize", () => drawn.forEach((chart) => chart.resize()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
