//! Looks at pages that were built: whether their links lead somewhere, and, in a browser, whether
//! something is cut.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The values of an attribute.
pub(crate) fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let begin = format!(" {attribute}=\"");
    let rests = page.split(begin.as_str()).skip(1);
    rests.map(|rest| rest.split('"').next().unwrap()).collect()
}

/// The number of links in these pages of a folder, and those that lead nowhere.
pub(crate) fn broken_links(
    folder: &Path,
    pages: &BTreeMap<String, String>,
) -> (usize, Vec<String>) {
    let mut ids: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    let (mut links, mut wrong) = (0, Vec::new());
    for (name, page) in pages {
        let here = folder.join(name);
        let targets = values(page, "href").into_iter().chain(values(page, "src"));
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let there = match file {
                "" => here.clone(),
                file => here.parent().unwrap().join(file),
            };
            links += 1;
            let Ok(there) = there.canonicalize() else {
                wrong.push(format!("{name}: {target}"));
                continue;
            };
            if anchor.is_empty() {
                continue;
            }
            let ids = ids.entry(there).or_insert_with_key(|there| {
                let page = fs::read_to_string(there).unwrap_or_default();
                values(&page, "id").into_iter().map(str::to_owned).collect()
            });
            // The lines of a source get their anchors from a script.
            let is_source = file.contains("/src/");
            if !is_source && !ids.contains(anchor) {
                wrong.push(format!("{name}: {target}: no such anchor"));
            }
        }
    }
    (links, wrong)
}

/// What the browser says of each page in frames of two widths.
const MEASURE: &str = r#"
const found = [];
let tables = 0, blocks = 0;
async function measure(page, width) {
    const frame = document.createElement("iframe");
    frame.style.width = width + "px";
    frame.style.height = "900px";
    frame.src = page;
    const loaded = new Promise((resolve) => frame.onload = resolve);
    document.body.append(frame);
    await loaded;
    const there = frame.contentDocument;
    await there.fonts.ready;
    const say = (what) => found.push(page + " at " + width + ": " + what);
    const root = there.scrollingElement;
    if (root.scrollWidth > width) say("the page is " + root.scrollWidth + " wide");
    for (const table of there.querySelectorAll("main table")) {
        tables += 1;
        const box = table.parentElement;
        if (width > 1000 && table.scrollWidth > box.clientWidth + 1)
            say("a table is " + table.scrollWidth + " wide, in " + box.clientWidth + ": "
                + table.textContent.trim().slice(0, 40));
    }
    for (const code of there.querySelectorAll("main pre > code")) {
        blocks += 1;
        if (code.scrollWidth > code.clientWidth + 1)
            say("code is cut: " + code.textContent.slice(0, 60));
        if (width > 1000 && code.className.includes("language-r")) {
            code.style.whiteSpace = "pre";
            if (code.scrollWidth > code.clientWidth + 1)
                say("a line of Rust does not fit: " + code.textContent.slice(0, 60));
        }
    }
    for (const image of there.querySelectorAll("main img")) {
        if (image.naturalWidth === 0) say("no image: " + image.getAttribute("src"));
    }
    frame.remove();
}
(async () => {
    for (const page of PAGES) {
        await measure(page, 1280);
        await measure(page, 390);
    }
    const result = document.createElement("pre");
    result.id = "result";
    result.textContent = "measured " + PAGES.length + " pages, " + tables + " tables, "
        + blocks + " blocks of code\n" + found.join("\n");
    document.body.append(result);
})();
"#;

/// How many pages, tables and blocks of code the browser has seen in these pages of a folder, each
/// at two widths, and what is cut.
pub(crate) fn cut(folder: &Path, names: &[String]) -> ([usize; 3], String) {
    let mut page = String::from("<!DOCTYPE html><meta charset=utf-8><body><script>const PAGES = [");
    for name in names {
        write!(page, "\"{name}\", ").unwrap();
    }
    write!(page, "];{MEASURE}</script></body>").unwrap();
    // Beside the pages, which a page from elsewhere may not look into.
    let path = folder.join("measure.html");
    fs::write(&path, page).unwrap();
    let dom = dom(&path);
    fs::remove_file(&path).unwrap();
    let (_, result) = dom
        .split_once("<pre id=\"result\">measured ")
        .unwrap_or_else(|| panic!("the browser measured nothing: {dom}"));
    let (result, _) = result.split_once("</pre>").unwrap();
    let (counts, wrong) = result.split_once('\n').unwrap();
    let numbers: Vec<usize> = counts
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let counts = numbers.try_into().unwrap_or_else(|_| panic!("{counts}"));
    (counts, wrong.to_owned())
}

/// What the browser makes of a page after its scripts.
fn dom(page: &Path) -> String {
    let browser = std::env::var("TASKGROUP_CHROMIUM").unwrap_or_else(|_| "chromium".into());
    let profile = std::env::temp_dir().join(format!("taskgroup-site-{}", std::process::id()));
    let options = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
                   --disable-sync --disable-background-networking --disable-component-update \
                   --allow-file-access-from-files --window-size=1400,1200 \
                   --virtual-time-budget=600000";
    let dump = Command::new(browser)
        .args(options.split_whitespace())
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg("--dump-dom")
        .arg(format!("file://{}", page.canonicalize().unwrap().display()))
        .output()
        .unwrap();
    let _ = fs::remove_dir_all(profile);
    String::from_utf8(dump.stdout).unwrap()
}
