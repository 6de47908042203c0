//! The JSON schema of files of tasks, made from the table of keys.

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::keys::{Form, KEYS, Key};
use crate::plan::{On, OnFailure, Policy, RestartOn, Shell, WhenOneEnds};

/// The schema as text. Draft 7, because editors of TOML files understand it.
pub(crate) fn json_schema() -> String {
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A file of tasks for the command taskgroup",
        "type": "object",
        "properties": properties(|key| key.of.file()),
        "additionalProperties": false,
        "definitions": {
            "command": {
                "anyOf": [
                    { "type": "string", "pattern": "\\S" },
                    { "type": "array", "items": { "type": "string" }, "minItems": 1 },
                ],
            },
            "duration": { "type": "string", "pattern": DURATION },
            "task": {
                "anyOf": [
                    { "$ref": "#/definitions/command" },
                    {
                        "type": "object",
                        "properties": properties(|key| key.of.tasks()),
                        "required": ["run"],
                        "additionalProperties": false,
                    },
                ],
            },
            "group": {
                "type": "object",
                "properties": properties(|key| key.of.groups()),
                "additionalProperties": false,
            },
        },
    });
    format!("{schema:#}\n")
}

/// The units of the crate `humantime`.
const DURATION: &str = "^\\s*([0-9]+(\\.[0-9]+)?\\s*(nanos?|nsec|ns|usec|us|micros?|millis|msec|ms|\
    seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|wks?|wk|w|months?|M|years?|yrs?|y)\\s*)+$|\
    ^\\s*0\\s*$";

/// A share above 100%.
const MORE_THAN_ALL: &str = "^0*([1-9][0-9]{3,}|[2-9][0-9][0-9]|1[1-9][0-9]|1[0-9][1-9])%$";

/// A line that is not blank.
const LINE: &str = "^[^\\x00-\\x1f]*[^\\s\\x00-\\x1f][^\\x00-\\x1f]*$";

/// An option, and not a word that ends the options.
const OPTION: &str = "^-([^-\\x00-\\x1f]|-[^\\x00-\\x1f])[^\\x00-\\x1f]*$";

/// A shell without options.
fn bare_shell() -> String {
    format!("^\\s*(\\S*/)?({})\\s*$", Shell::POSIX.join("|"))
}

/// Among the names of tasks, a key with its value is no task.
fn no_keys() -> Value {
    let keys = KEYS.iter().filter(|key| key.form.is_no_command());
    let keys = keys.map(|key| {
        let task = json!({
            "allOf": [{ "$ref": "#/definitions/task" }],
            "not": form(key.form),
        });
        (key.name.to_owned(), task)
    });
    Value::Object(keys.collect())
}

/// A duration longer than zero.
fn span() -> Value {
    json!({
        "allOf": [{ "$ref": "#/definitions/duration" }],
        "not": { "pattern": "^[^1-9]*$" },
    })
}

fn properties(has: impl Fn(&Key) -> bool) -> Map<String, Value> {
    let keys = KEYS.iter().filter(|key| has(key));
    keys.map(|key| {
        let mut value = form(key.form);
        value["description"] = key.about.into();
        (key.name.to_owned(), value)
    })
    .collect()
}

fn words<T: ValueEnum>() -> Vec<String> {
    let words = T::value_variants().iter();
    let words = words.filter_map(ValueEnum::to_possible_value);
    words.map(|word| word.get_name().to_owned()).collect()
}

fn form(form: Form) -> Value {
    let by_name = |what: &str| {
        json!({
            "type": "object",
            "propertyNames": { "pattern": "^[^/\\x00-\\x1f]*[^/\\s\\x00-\\x1f][^/\\x00-\\x1f]*$" },
            "additionalProperties": { "$ref": format!("#/definitions/{what}") },
        })
    };
    match form {
        Form::Command => json!({ "allOf": [{ "$ref": "#/definitions/command" }] }),
        Form::Commands => {
            json!({ "type": "array", "items": { "$ref": "#/definitions/command" } })
        }
        Form::Names => json!({ "type": "array", "items": { "type": "string" } }),
        Form::Duration => json!({ "allOf": [{ "$ref": "#/definitions/duration" }] }),
        Form::Span => span(),
        Form::Timeout => json!({
            "anyOf": [span(), { "type": "string", "pattern": MORE_THAN_ALL }],
        }),
        Form::Count => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        Form::Number => json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
        Form::Size => json!({
            "type": "string",
            "pattern": "^0*[1-9][0-9]*[mMgGtT]([iI]?[bB])?$",
        }),
        Form::Name => json!({ "type": "string", "pattern": LINE }),
        Form::Options => json!({
            "type": "array",
            "items": { "type": "string", "pattern": OPTION },
        }),
        Form::On => json!({ "enum": words::<On>() }),
        Form::Jobs => json!({
            "anyOf": [
                { "type": "integer", "minimum": 1, "maximum": u32::MAX },
                { "type": "string", "pattern": "^0*[1-9][0-9]*%$" },
            ],
        }),
        Form::Text => json!({ "type": "string" }),
        Form::Folder => json!({ "type": "string", "pattern": "." }),
        Form::Shell => json!({
            "allOf": [{ "$ref": "#/definitions/command" }],
            "not": {
                "anyOf": [
                    { "type": "string", "pattern": bare_shell() },
                    {
                        "type": "array",
                        "maxItems": 1,
                        "items": { "pattern": bare_shell() },
                    },
                ],
            },
        }),
        Form::Env => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[^=]+$" },
            "additionalProperties": { "anyOf": [{ "type": "string" }, { "const": false }] },
        }),
        Form::OnFailure => json!({ "enum": words::<OnFailure>() }),
        Form::Policy => json!({ "enum": words::<Policy>() }),
        Form::Matrix => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
            "additionalProperties": {
                "type": "array",
                "items": { "type": ["string", "number", "boolean"] },
                "minItems": 1,
                "uniqueItems": true,
            },
        }),
        Form::WhenOneEnds => json!({ "enum": words::<WhenOneEnds>() }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::Ready => json!({
            "type": "object",
            "properties": {
                "command": { "$ref": "#/definitions/command" },
                "port": {
                    "anyOf": [
                        { "type": "integer", "minimum": 1, "maximum": u16::MAX },
                        { "type": "string", "pattern": "^\\S+:[0-9]+$" },
                    ],
                },
                "http": { "type": "string", "pattern": "^http://[^/\\s]+" },
                "line": { "type": "string", "pattern": "[^\\x00]" },
            },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        }),
        Form::Restart => json!({
            "anyOf": [
                { "enum": words::<RestartOn>() },
                {
                    "type": "object",
                    "properties": {
                        "on": { "enum": words::<RestartOn>() },
                        "backoff": { "$ref": "#/definitions/duration" },
                        "limit": { "type": "integer", "minimum": 0, "maximum": u32::MAX },
                    },
                    "required": ["on"],
                    "additionalProperties": false,
                },
            ],
        }),
        Form::Slurm => json!({
            "type": "object",
            "properties": {
                "nodes": self::form(Form::Number),
                "cpus": self::form(Form::Number),
                "memory": self::form(Form::Size),
                "gpus": self::form(Form::Number),
                "partition": self::form(Form::Name),
                "account": self::form(Form::Name),
                "time": span(),
                "constraint": self::form(Form::Name),
                "extra": self::form(Form::Options),
            },
            "additionalProperties": false,
        }),
        Form::Tasks => {
            let mut tasks = by_name("task");
            tasks["properties"] = no_keys();
            tasks
        }
        Form::Groups => by_name("group"),
    }
}
