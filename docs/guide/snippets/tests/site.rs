//! The built book: its links lead to pages and anchors of it, and its tables and code fit.
//!
//! `.ci/run site` builds it and runs these tests. `TASKGROUP_SITE` names the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn site() -> PathBuf {
    let folder = std::env::var_os("TASKGROUP_SITE").expect("TASKGROUP_SITE names the built book");
    PathBuf::from(folder)
}

/// The pages by name. The page for printing repeats the others; 404 has links from the root.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    for entry in fs::read_dir(site()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let is_page = name.ends_with(".html");
        if is_page && !["print.html", "404.html", "toc.html"].contains(&name.as_str()) {
            pages.insert(name, fs::read_to_string(path).unwrap());
        }
    }
    assert!(pages.len() > 30, "only {} pages", pages.len());
    pages
}

/// The values of an attribute.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let begin = format!(" {attribute}=\"");
    let rests = page.split(begin.as_str()).skip(1);
    rests.map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
#[ignore = "needs the built book: .ci/run site"]
fn links_of_the_site_lead_somewhere() {
    let pages = pages();
    let ids: BTreeMap<_, BTreeSet<_>> = pages
        .iter()
        .map(|(name, page)| (name.as_str(), values(page, "id").into_iter().collect()))
        .collect();
    let (mut links, mut wrong) = (0, Vec::new());
    for (name, page) in &pages {
        let targets = values(page, "href").into_iter().chain(values(page, "src"));
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { name } else { file };
            links += 1;
            if !site().join(file).exists() {
                wrong.push(format!("{name}: {target}"));
            } else if !anchor.is_empty() && !ids.get(file).is_some_and(|ids| ids.contains(anchor)) {
                wrong.push(format!("{name}: {target}: no such anchor"));
            }
        }
        if page.contains("{{#") {
            wrong.push(format!("{name}: something is not included"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {links}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(links > 500, "only {links} links");
    println!("{links} links lead somewhere");
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

#[test]
#[ignore = "needs the built book and Chromium: .ci/run site"]
fn chromium_shows_no_table_and_no_code_that_is_cut() {
    let names: Vec<_> = pages().into_keys().collect();
    let mut page = String::from("<!DOCTYPE html><meta charset=utf-8><body><script>const PAGES = [");
    for name in &names {
        write!(page, "\"{name}\", ").unwrap();
    }
    write!(page, "];{MEASURE}</script></body>").unwrap();
    // Beside the pages, which a page from elsewhere may not look into.
    let path = site().join("measure.html");
    fs::write(&path, page).unwrap();
    let dom = dom(&path);
    fs::remove_file(&path).unwrap();
    let (_, result) = dom
        .split_once("<pre id=\"result\">measured ")
        .unwrap_or_else(|| panic!("the browser measured nothing: {dom}"));
    let (result, _) = result.split_once("</pre>").unwrap();
    let (counts, wrong) = result.split_once('\n').unwrap();
    assert!(wrong.is_empty(), "{counts}\n{wrong}");
    let numbers: Vec<usize> = counts
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [measured, tables, blocks] = numbers[..] else {
        panic!("{counts}")
    };
    assert!(
        measured == names.len() && tables > 60 && blocks > 300,
        "{counts}"
    );
    println!("{counts}, at two widths each: none is cut");
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
