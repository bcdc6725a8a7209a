// Colours after Okabe and Ito (told apart with any colour vision), darkened or lightened to 4.5 : 1 against the page.
const LIGHT = ["#b84700", "#0068a8", "#007a5a", "#a03d78", "#8a6500", "#2f7f9e", "#6a4fb3", "#555555"];
const DARK = ["#ff9a4d", "#62b8ff", "#3fcf9f", "#f09ac4", "#e6bd3a", "#7fd0e8", "#b9a3ff", "#b8b8b8"];

const slots = (colours: readonly string[]): string => colours.map((colour, i) => `--c${i}:${colour}`).join(";");
const classes = LIGHT.map((_, i) => `.s${i}{--c:var(--c${i})}`).join("");

/** The style sheet of the HTML report: light, dark, narrow and paper. */
export const STYLE = `
:root{color-scheme:light dark;--page:#fff;--panel:#f6f7f8;--ink:#16191d;--soft:#565d66;--rule:#dfe2e6;--grid:#e9ebee;--bar:#8b1e2d;--harm:184,40,40;${slots(LIGHT)}}
@media(prefers-color-scheme:dark){:root{--page:#14171a;--panel:#1c2024;--ink:#eceef0;--soft:#a4acb5;--rule:#343a41;--grid:#272c31;--bar:#ff9aa5;--harm:255,90,90;${slots(DARK)}}}
${classes}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;-webkit-text-size-adjust:100%}
main{max-width:944px;margin:0 auto;padding:44px 24px 72px}
h1,h2,h3{line-height:1.25;text-wrap:balance;margin:0}
h1{font-size:30px;letter-spacing:-.015em;font-weight:700}
h2{font-size:20px;margin-top:56px;font-weight:650}
h3{font-size:15px;font-weight:600}
p{margin:8px 0 0;max-width:74ch}
.kicker{color:var(--soft);font-size:14px;margin:0 0 8px;max-width:none}
.facts{display:flex;flex-wrap:wrap;gap:6px 28px;margin:20px 0 0;padding:14px 0;border-block:1px solid var(--rule)}
.facts div{min-width:0}
.facts dt{font-size:12.5px;color:var(--soft)}
.facts dd{margin:0;font-weight:550;overflow-wrap:anywhere}
.lead{font-size:16.5px;max-width:80ch;margin-top:12px}
.findings{margin:18px 0 0;padding-left:20px;max-width:78ch}
.findings li{margin-top:6px}
.soft{color:var(--soft);font-size:14px}
figure{margin:18px 0 0}
.chart{display:block;width:100%;height:auto;font-size:13px;font-variant-numeric:tabular-nums}
.chart text{fill:var(--ink);font-family:inherit}
.chart .tick,.chart .label{fill:var(--soft)}
.chart .name{fill:var(--c);font-weight:600}
.chart .bar-text{fill:var(--bar);font-size:12px;paint-order:stroke;stroke:var(--page);stroke-width:3px}
.grid{stroke:var(--grid)}.axis,.notch{stroke:var(--soft)}
.bar{stroke:var(--bar);stroke-dasharray:3 4;stroke-width:1.25}
.line{fill:none;stroke:var(--c);stroke-width:2.25;stroke-linejoin:round}
.seed{fill:none;stroke:var(--c);stroke-width:1;opacity:.28}
.interval{fill:none;stroke:var(--c);stroke-width:1.5;opacity:.55}
.other{fill:none;stroke:var(--soft);stroke-width:1;opacity:.38}
.dot{fill:var(--c);opacity:.6}
.marker{fill:var(--c);stroke:var(--page);stroke-width:1.25}
.leader{fill:none;stroke:var(--c);opacity:.45}
.narrow{display:none}
.legend{list-style:none;margin:0 0 8px;padding:0;display:flex;flex-wrap:wrap;gap:4px 18px;font-size:14px}
.legend li{display:flex;align-items:center;gap:7px}
.panels{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:28px 28px;margin-top:18px}
.panels h3{margin-bottom:8px}
.panels .chart{font-size:12.5px}
.scroll{overflow-x:auto;margin-top:14px;background:linear-gradient(90deg,var(--page) 40%,transparent) 0 0/36px 100% no-repeat local,linear-gradient(270deg,var(--page) 40%,transparent) 100% 0/36px 100% no-repeat local,linear-gradient(90deg,var(--rule),transparent) 0 0/14px 100% no-repeat scroll,linear-gradient(270deg,var(--rule),transparent) 100% 0/14px 100% no-repeat scroll}
table{border-collapse:collapse;width:100%;font-size:14px;line-height:1.35;font-variant-numeric:tabular-nums}
th{font-weight:600;text-align:left;color:var(--soft);font-size:13px;vertical-align:bottom;border-bottom:1px solid var(--soft)}
th,td{padding:7px 8px}
th:first-child{padding-left:0;padding-right:16px}
td{border-bottom:1px solid var(--rule);vertical-align:top;white-space:nowrap}
.num{text-align:right}
td.words{white-space:normal;min-width:76px}
td.prose{white-space:normal;min-width:200px;overflow-wrap:anywhere}
tbody th{color:var(--ink);font-size:14px;vertical-align:top;border-bottom:1px solid var(--rule);min-width:88px}
tr.same th{color:transparent;user-select:none}
.whole{white-space:nowrap}
small{display:block;font-weight:400;color:var(--soft);font-size:12px}
.runs{white-space:normal;max-width:96px;margin-left:auto}
.runs a{color:inherit}
.tint{background:rgba(var(--harm),var(--a))}
details{margin-top:22px}
summary{cursor:pointer;font-weight:550}
dl.terms{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:4px 18px;margin:14px 0 0;font-size:14px}
dl.terms dt{font-weight:600}
dl.terms dd{margin:0;color:var(--soft)}
@media screen and (max-width:640px){
main{padding:24px 16px 48px}
h1{font-size:24px}
h2{margin-top:44px}
.wide{display:none}.narrow{display:block}
.panels{grid-template-columns:minmax(0,1fr)}
th:first-child{position:sticky;left:0;background:var(--page)}
dl.terms{grid-template-columns:minmax(0,1fr);gap:0}
dl.terms dd{margin-bottom:8px}
}
@media screen and (max-width:480px){
thead{display:none}
table,tbody,tr,tbody th,td{display:block}
tbody tr{border-bottom:1px solid var(--soft);padding:10px 0}
tbody th{position:static;border:0;padding:0 0 4px}
td,td.words,td.prose{display:flex;justify-content:space-between;gap:16px;min-width:0;padding:3px 6px;border:0;text-align:right;white-space:normal}
td::before{content:attr(data-label);flex:none;max-width:48%;text-align:left;color:var(--soft)}
tr.same th{display:none}
.runs{max-width:none}
}
@media print{
.runs{display:none}
td.words,td.prose,tbody th{min-width:0}
:root{color-scheme:light;--page:#fff;--panel:#fff;--ink:#000;--soft:#444;--rule:#bbb;--grid:#ddd;--bar:#8b1e2d;--harm:184,40,40;${slots(LIGHT)}}
@page{margin:16mm 14mm}
body{font-size:10.5pt}
main{padding:0;max-width:none}
h1{font-size:19pt}h2{font-size:13pt;margin-top:22pt;break-after:avoid}h3{break-after:avoid}
figure,.panels>*,tr,table:not(:has(tr:nth-child(16))),dl.terms{break-inside:avoid}
table{font-size:8.5pt}th,tbody th{font-size:8.5pt}small{font-size:7.5pt}
th,td{padding:3pt 4pt}
.scroll{overflow:visible;background:none}
.tint{-webkit-print-color-adjust:exact;print-color-adjust:exact}
.soft{break-after:avoid}
tr.same th{color:var(--soft);font-weight:400}
details{display:none}
}
`.trim();
