//! A validator of traces in the Trace Event Format (JSON), by what the format's description asks
//! for and what viewers refuse or draw wrongly. Used by the tests of the command, too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

type Lane = (u64, u64);

/// `s` or `f`, where, and when.
type FlowEnd = (char, Lane, f64);

/// Slices may touch; JSON's numbers are rounded to this part of a microsecond.
const NEAR: f64 = 0.002;

/// What is wrong with the trace; the number of slices otherwise.
pub(crate) fn validate(trace: &Value) -> Result<usize, String> {
    let unit = &trace["displayTimeUnit"];
    if !(unit.is_null() || unit == "ms" || unit == "ns") {
        return Err(format!("displayTimeUnit is {unit}"));
    }
    let events = trace["traceEvents"]
        .as_array()
        .ok_or("no list of traceEvents")?;
    let mut seen = Seen::default();
    for event in events {
        seen.take(event)
            .map_err(|fault| format!("{fault}: {event}"))?;
    }
    seen.close()
}

#[derive(Default)]
struct Seen {
    slices: BTreeMap<Lane, Vec<(f64, f64)>>,
    /// Begun by `B` and not ended by `E` yet.
    open: BTreeMap<Lane, Vec<(String, f64)>>,
    /// By category, name and id: where each begins, and where it ends.
    flows: BTreeMap<(String, String, u64), Vec<FlowEnd>>,
    lanes: BTreeSet<Lane>,
    named_processes: BTreeSet<u64>,
    named_lanes: BTreeSet<Lane>,
}

impl Seen {
    fn take(&mut self, event: &Value) -> Result<(), String> {
        let text = |key: &str| match event[key].as_str() {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(format!("{key} is no text")),
        };
        let count = |key: &str| event[key].as_u64().ok_or(format!("{key} is no number"));
        let time = |key: &str| match event[key].as_f64() {
            Some(time) if time.is_finite() && time >= 0.0 => Ok(time),
            _ => Err(format!("{key} is no time")),
        };
        let lane = (count("pid")?, count("tid")?);
        let name = text("name")?;
        if !(event["args"].is_null() || event["args"].is_object()) {
            return Err("args is no object".to_owned());
        }
        let phase = text("ph")?;
        if phase != "M" {
            time("ts")?;
            self.lanes.insert(lane);
        }
        match phase.as_str() {
            "M" => return self.metadata(&name, lane, &event["args"]),
            "X" => {
                let begin = time("ts")?;
                let slice = (begin, begin + time("dur")?);
                self.slices.entry(lane).or_default().push(slice);
            }
            "B" => self.open.entry(lane).or_default().push((name, time("ts")?)),
            "E" => {
                let begun = self.open.entry(lane).or_default().pop();
                let (begun, begin) = begun.ok_or("nothing to end")?;
                let end = time("ts")?;
                if begun != name || end < begin {
                    return Err(format!("ends {begun}, which began at {begin}"));
                }
                self.slices.entry(lane).or_default().push((begin, end));
            }
            "i" => {
                if !["g", "p", "t"].contains(&text("s")?.as_str()) {
                    return Err("s is no scope".to_owned());
                }
            }
            "s" | "f" => {
                let flow = (text("cat")?, name, count("id")?);
                let end = (phase.chars().next().unwrap_or('s'), lane, time("ts")?);
                self.flows.entry(flow).or_default().push(end);
            }
            other => return Err(format!("{other} is no phase of an event that we write")),
        }
        Ok(())
    }

    fn metadata(&mut self, name: &str, lane: Lane, args: &Value) -> Result<(), String> {
        let is_name = args["name"].as_str().is_some_and(|name| !name.is_empty());
        let fits = match name {
            "process_name" => is_name && self.named_processes.insert(lane.0),
            "thread_name" => is_name && self.named_lanes.insert(lane),
            "process_sort_index" | "thread_sort_index" => args["sort_index"].is_i64(),
            _ => false,
        };
        fits.then_some(()).ok_or("no metadata, or twice".to_owned())
    }

    fn close(mut self) -> Result<usize, String> {
        if let Some((lane, open)) = self.open.iter().find(|(_, open)| !open.is_empty()) {
            return Err(format!("{open:?} of lane {lane:?} never ends"));
        }
        for (lane, slices) in &mut self.slices {
            nest(slices).map_err(|fault| format!("lane {lane:?}: {fault}"))?;
        }
        for (flow, ends) in &self.flows {
            let [('s', from, begin), ('f', to, end)] = ends[..] else {
                return Err(format!(
                    "flow {flow:?} has not a begin and an end: {ends:?}"
                ));
            };
            let held = |lane: Lane, at: f64| {
                let slices = self.slices.get(&lane).map_or(&[][..], Vec::as_slice);
                slices.iter().any(|&(from, to)| from <= at && at < to)
            };
            if end < begin || !held(from, begin) || !held(to, end) {
                return Err(format!("flow {flow:?} goes back, or is held by no slice"));
            }
        }
        let nameless = |lane: &&Lane| {
            !self.named_lanes.contains(lane) || !self.named_processes.contains(&lane.0)
        };
        if let Some(lane) = self.lanes.iter().find(nameless) {
            return Err(format!("lane {lane:?} has no name"));
        }
        Ok(self.slices.values().map(Vec::len).sum())
    }
}

/// The slices of one lane stand inside each other or apart.
fn nest(slices: &mut [(f64, f64)]) -> Result<(), String> {
    // An outer one first.
    slices.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut open: Vec<f64> = Vec::new();
    for &mut (from, to) in slices {
        while open.last().is_some_and(|&end| end <= from + NEAR) {
            open.pop();
        }
        if open.last().is_some_and(|&end| to > end + NEAR) {
            return Err(format!("the slice from {from} to {to} overlaps another"));
        }
        open.push(to);
    }
    Ok(())
}

/// What must be refused is.
#[test]
fn broken_traces_are_refused() {
    const NAMES: &str = r#"{"ph":"M","name":"process_name","pid":1,"tid":0,"args":{"name":"p"}},
        {"ph":"M","name":"thread_name","pid":1,"tid":1,"args":{"name":"t"}}"#;
    let check = |events: &str| {
        let text = format!(r#"{{"displayTimeUnit":"ms","traceEvents":[{NAMES}{events}]}}"#);
        validate(&serde_json::from_str(&text).unwrap())
    };
    let x = |ts: &str, dur: &str| {
        format!(r#",{{"ph":"X","name":"a","pid":1,"tid":1,"ts":{ts},"dur":{dur}}}"#)
    };
    assert_eq!(check(&(x("0", "5") + &x("1", "4") + &x("5", "1"))), Ok(3));
    let nested = r#",{"ph":"B","name":"a","pid":1,"tid":1,"ts":1},{"ph":"B","name":"b","pid":1,"tid":1,"ts":2},
        {"ph":"E","name":"b","pid":1,"tid":1,"ts":3},{"ph":"E","name":"a","pid":1,"tid":1,"ts":3}"#;
    assert_eq!(check(nested), Ok(2));
    let flow = |from: u8, to: u8| {
        let end = |ph, ts| {
            format!(r#",{{"ph":"{ph}","id":1,"cat":"c","name":"f","pid":1,"tid":1,"ts":{ts}}}"#)
        };
        x("0", "5") + &end("s", from) + &end("f", to)
    };
    assert_eq!(check(&flow(1, 2)), Ok(1));
    for (events, fault) in [
        (x("0", "5") + &x("1", "5"), "overlaps"),
        (x("-1", "5"), "ts is no time"),
        (x("1", "-5"), "dur is no time"),
        (x("\"1\"", "5"), "ts is no time"),
        (flow(2, 1), "goes back"),
        (flow(1, 7), "held by no slice"),
        (
            r#",{"ph":"Q","name":"a","pid":1,"tid":1,"ts":1}"#.to_owned(),
            "Q is no phase",
        ),
        (
            r#",{"ph":"X","name":"","pid":1,"tid":1,"ts":1}"#.to_owned(),
            "name is no text",
        ),
        (
            r#",{"ph":"i","name":"a","pid":1,"tid":2,"ts":1,"s":"t"}"#.to_owned(),
            "has no name",
        ),
        (
            r#",{"ph":"i","name":"a","pid":1,"tid":1,"ts":1,"s":"x"}"#.to_owned(),
            "no scope",
        ),
        (
            r#",{"ph":"i","name":"a","pid":"1","tid":1,"ts":1,"s":"t"}"#.to_owned(),
            "pid is no number",
        ),
        (
            r#",{"ph":"M","name":"colour","pid":1,"tid":1,"args":{"name":"t"}}"#.to_owned(),
            "no metadata",
        ),
        (
            r#",{"ph":"B","name":"a","pid":1,"tid":1,"ts":1}"#.to_owned(),
            "never ends",
        ),
        (
            r#",{"ph":"E","name":"a","pid":1,"tid":1,"ts":1}"#.to_owned(),
            "nothing to end",
        ),
    ] {
        let refused = check(&events).unwrap_err();
        assert!(refused.contains(fault), "{refused}");
    }
    assert!(validate(&serde_json::json!([])).is_err());
    let other = serde_json::json!({"displayTimeUnit": "s", "traceEvents": []});
    assert!(validate(&other).is_err());
}
