/// What the page looks like, and the little that moves.
enum PageAssets {
    static let style: HTML = """

        :root{color-scheme:light dark;--bg:#f4f6f9;--card:#fff;--ink:#1b2430;--dim:#5d6878;
        --rule:#e3e8ef;--soft:#f0f3f8;--accent:#3c63d8;--good:#17804d;--good-bg:#e2f5ea;
        --warn:#9a5f00;--warn-bg:#fdf0d8;--bad:#bf2f3c;--bad-bg:#fde7e8;--idle:#5d6878;
        --idle-bg:#ebeff4;--shadow:0 1px 2px #1b243014,0 8px 28px #1b24300d}
        @media(prefers-color-scheme:dark){:root{--bg:#0e131a;--card:#161d27;--ink:#e4e9f1;
        --dim:#95a1b3;--rule:#263040;--soft:#1b2431;--accent:#86a5ff;--good:#4fce8e;
        --good-bg:#12352a;--warn:#efb24c;--warn-bg:#382b12;--bad:#ff7f87;--bad-bg:#401d24;
        --idle:#95a1b3;--idle-bg:#232d3b;--shadow:0 0 0 1px #263040}}
        .good{--tone:var(--good);--tone-bg:var(--good-bg)}
        .warn{--tone:var(--warn);--tone-bg:var(--warn-bg)}
        .bad{--tone:var(--bad);--tone-bg:var(--bad-bg)}
        .idle{--tone:var(--idle);--tone-bg:var(--idle-bg)}
        *{box-sizing:border-box}
        body{margin:0;background:var(--bg);color:var(--ink);
        font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",
        "DejaVu Sans",sans-serif}
        main,footer{max-width:1180px;margin:0 auto;padding:0 24px}
        header{display:flex;flex-wrap:wrap;align-items:baseline;justify-content:space-between;
        gap:4px 24px;padding:26px 0 18px}
        h1{font-size:26px;letter-spacing:-.01em;margin:0;display:flex;align-items:center;gap:12px}
        .logo{width:30px;height:30px;fill:var(--accent);stroke:var(--accent);stroke-width:1.6}
        header p,.title p{margin:0;color:var(--dim);font-size:14px}
        header p span+span:before,.title p span+span:before{content:"·";margin:0 8px}
        section{background:var(--card);border-radius:16px;box-shadow:var(--shadow);
        padding:22px 26px 26px;margin-bottom:24px}
        .title{display:flex;flex-wrap:wrap;align-items:baseline;justify-content:space-between;
        gap:4px 24px}
        h2{font-size:21px;margin:0;display:flex;align-items:center;gap:12px}
        h3{font-size:12px;font-weight:600;letter-spacing:.06em;text-transform:uppercase;
        color:var(--dim);margin:26px 0 8px}
        .chip{display:inline-block;font-size:12.5px;font-weight:600;line-height:1;letter-spacing:0;
        padding:5px 9px;border-radius:99px;color:var(--tone);background:var(--tone-bg);
        white-space:nowrap}
        .problems{list-style:none;margin:16px 0 0;padding:0;border-radius:10px;
        background:var(--bad-bg);overflow:hidden}
        .problems li{padding:9px 14px 9px 38px;position:relative;overflow-wrap:anywhere}
        .problems li+li{border-top:1px solid var(--card)}
        .problems li:before{content:"!";position:absolute;left:13px;top:12px;width:17px;height:17px;
        border-radius:50%;background:var(--bad);color:var(--card);font:700 12px/17px sans-serif;
        text-align:center}
        main>.problems{margin:0 0 18px}
        .none{color:var(--dim);margin:14px 0 0}
        figure{margin:18px 0 0;background:var(--soft);border-radius:12px;overflow-x:auto}
        .map{display:block;width:100%;max-height:560px;min-width:560px;
        font:600 13px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",
        "DejaVu Sans",sans-serif}
        .map text{text-anchor:middle;fill:var(--ink)}
        .map .note{text-anchor:start;fill:var(--dim)}
        .link line{stroke:var(--tone);stroke-width:2.5;stroke-linecap:round}
        .link.bad line{stroke-dasharray:2 8;stroke-width:3}
        .link.idle line{stroke-dasharray:8 7}
        .link rect{fill:var(--card);stroke:var(--tone);stroke-width:1.5}
        .link text{fill:var(--tone)}
        .node .body{fill:var(--card);stroke:var(--tone);stroke-width:2.5}
        .node.hub .body{stroke-width:4}
        .dot{fill:var(--tone);stroke:var(--soft);stroke-width:1.2}
        .map .name,.map .below{paint-order:stroke;stroke:var(--soft);stroke-width:5px;
        stroke-linejoin:round}
        .map .count{font-size:23px;font-weight:700}
        .map .unit{font-size:11px;font-weight:500;fill:var(--dim)}
        .map .name{font-size:15px;font-weight:700}
        .map .below{font-size:12px;font-weight:500;fill:var(--dim)}
        .tables{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));column-gap:32px}
        .wide{grid-column:1/-1}
        .scroll{overflow-x:auto}
        table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
        th,td{text-align:left;padding:7px 16px 7px 0;border-top:1px solid var(--rule);
        font-weight:400;vertical-align:middle}
        thead th{border-top:0;color:var(--dim);font-size:13px;padding:2px 16px 6px 0;
        white-space:nowrap}
        tbody th{font-weight:600;white-space:nowrap}
        tbody th small{white-space:normal;min-width:150px}
        th:last-child,td:last-child{padding-right:0}
        th.n,td.n{text-align:right;white-space:nowrap}
        .dim{color:var(--dim)}
        small{display:block;font-size:12.5px;font-weight:400;color:var(--dim)}
        code{font:12.5px/1.5 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;
        white-space:nowrap}
        .long code{white-space:normal;overflow-wrap:anywhere}
        .bar{width:34%;min-width:70px}
        .bar svg{display:block;width:100%;height:6px;border-radius:3px;background:var(--soft)}
        .bar rect{fill:var(--tone)}
        .member{display:inline-flex;align-items:baseline;gap:6px;margin:2px 6px 2px 0;
        padding:1px 10px;border-radius:99px;background:var(--tone-bg);color:var(--tone);
        font-weight:600;font-size:13px}
        .member small{display:inline;color:inherit}
        footer{color:var(--dim);font-size:13px;padding-bottom:32px}
        a{color:var(--accent)}
        #lost{position:sticky;top:0;z-index:1;margin:0;padding:10px 24px;text-align:center;
        background:var(--bad);color:var(--card);font-weight:600}
        @media(max-width:820px){.tables{grid-template-columns:minmax(0,1fr)}
        main,footer{padding:0 12px}section{padding:18px 16px}}

        """

    /// The page is made anew by the gateway, and what it says put in place of what stands there:
    /// nobody loses his place. A page that nobody looks at asks nothing.
    static let script: HTML = #"""

        "use strict";
        (() => {
          const lost = document.getElementById("lost");
          async function refresh() {
            // A selection would be lost.
            if (document.hidden || !getSelection().isCollapsed) return;
            try {
              const reply = await fetch(location.href, {
                cache: "no-store", signal: AbortSignal.timeout(10000)
              });
              if (!reply.ok) throw new Error(reply.status);
              // Only this part: the style of another reply has a nonce that is not ours.
              const part = /<main[^]*<\/main>/.exec(await reply.text())[0];
              const fresh = new DOMParser().parseFromString(part, "text/html")
                .querySelector("main");
              document.querySelector("main").replaceWith(fresh);
              document.title = fresh.dataset.title;
              document.querySelector("link[rel=icon]").href = fresh.dataset.icon;
              lost.hidden = true;
            } catch {
              lost.hidden = false;
            }
          }
          (async () => {
            for (;;) {
              await new Promise(done => setTimeout(done, 5000));
              await refresh();
            }
          })();
          document.addEventListener("visibilitychange", refresh);
        })();

        """#
}
