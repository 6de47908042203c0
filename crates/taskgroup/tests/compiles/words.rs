//! The dimensions of the matrix, and the pieces of code that they stand for.

/// Declares a dimension: its values, and what a report calls them.
macro_rules! dimension {
    ($(#[$doc:meta])* $name:ident { $($value:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($value),+ }

        impl $name {
            pub(crate) const ALL: &[Self] = &[$(Self::$value),+];

            pub(crate) fn text(self) -> &'static str {
                match self { $(Self::$value => $text),+ }
            }
        }
    };
}

dimension! {
    /// Where the call is.
    Place {
        Main = "in main",
        Child = "in a child",
        Spawned = "in tokio::spawn",
        Boxed = "in a boxed future",
        Handler = "in an axum handler",
        Service = "in a tower service",
    }
}

dimension! {
    /// What the work uses.
    Data {
        Owned = "owned",
        Borrowed = "borrowed from a local",
        Captured = "captured by reference",
        Resource = "with a reference in its type",
    }
}

dimension! {
    /// What the work fails with.
    Failure {
        Boxed = "BoxError",
        Anyhow = "anyhow::Error",
        Enum = "an enum of thiserror",
        Io = "io::Error",
    }
}

dimension! {
    /// How the work is written.
    Form {
        Block = "async block",
        AsyncClosure = "async closure",
        ClosureMove = "closure with an async move block",
        AsyncFn = "async fn",
    }
}

/// What the generated crate begins with: all that the cases refer to.
pub(crate) const PRELUDE: &str = r#"#![allow(warnings)]
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;
use taskgroup::combine::Until;
use taskgroup::{BlockingToken, BoxError, LocalGroup, OpenGroup, Progress, Retry, Started};
use taskgroup::{TaskGroup, TaskHandle};
use tokio::time::Instant;

pub type Boxed = BoxError;
pub type Anyhow = anyhow::Error;
pub type Io = io::Error;

#[derive(Debug, thiserror::Error)]
pub enum Enum {
    #[error("reading failed")]
    Read(#[from] io::Error),
    #[error("empty")]
    Empty,
}

pub struct Client(u32);

impl Client {
    pub async fn get(&self, number: u32) -> io::Result<usize> {
        tokio::task::yield_now().await;
        Ok((self.0 + number) as usize)
    }
}

pub struct Connection(String);

impl Connection {
    pub fn text(&self) -> &str {
        &self.0
    }
}

#[derive(Clone, Copy)]
pub struct Session<'a>(&'a str);

impl Session<'_> {
    pub fn text(&self) -> &str {
        self.0
    }
}

pub static USER: taskgroup::Local<Session<'static>> = taskgroup::Local::new();

pub async fn look(text: &str) -> io::Result<usize> {
    tokio::task::yield_now().await;
    Ok(text.len())
}

pub async fn connect() -> io::Result<Connection> {
    Ok(Connection(String::from("a")))
}

pub async fn log_in() -> io::Result<Session<'static>> {
    Ok(Session("a"))
}

pub async fn close<T>(resource: T) {
    drop(resource);
}

pub async fn two(group: &TaskGroup) -> [TaskHandle<usize>; 2] {
    [1, 2].map(|n| group.spawn(async move { Ok::<usize, BoxError>(n) }))
}
"#;

impl Place {
    /// A function on one line, in which `code` is what an async block of this place does.
    pub(crate) fn around(self, name: &str, code: &str) -> String {
        match self {
            Self::Main => format!("pub async fn {name}() {{ {code} }}"),
            Self::Child => format!(
                "pub async fn {name}() {{ let _ = TaskGroup::run(async |outer| {{ \
                 outer.spawn(async move {{ {code} }}); Ok(()) }}).await; }}"
            ),
            Self::Spawned => {
                format!("pub fn {name}() {{ tokio::spawn(async move {{ {code} }}); }}")
            }
            Self::Boxed => format!(
                "pub fn {name}() -> Pin<Box<dyn Future<Output = ()> + Send>> {{ \
                 Box::pin(async move {{ {code} }}) }}"
            ),
            Self::Handler => format!(
                "pub fn {name}() -> axum::Router {{ async fn handler() {{ {code} }} \
                 axum::Router::new().route(\"/\", axum::routing::get(handler)) }}"
            ),
            Self::Service => format!(
                "pub fn {name}() -> tower::util::BoxCloneService<u32, (), io::Error> {{ \
                 tower::util::BoxCloneService::new(tower::service_fn(|_: u32| async move {{ \
                 {code} Ok(()) }})) }}"
            ),
        }
    }
}

impl Failure {
    /// The name of the error in the generated crate.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Boxed => "Boxed",
            Self::Anyhow => "Anyhow",
            Self::Enum => "Enum",
            Self::Io => "Io",
        }
    }
}

impl Data {
    /// The locals around the call.
    fn locals(self) -> &'static str {
        match self {
            Self::Owned | Self::Borrowed => "let items = vec![String::from(\"a\")];",
            Self::Captured => "let items = vec![1_u32]; let client = Client(1);",
            Self::Resource => "let text = String::from(\"a\"); let items = vec![Session(&text)];",
        }
    }

    /// The items, as an iterator.
    pub(crate) fn items(self) -> &'static str {
        match self {
            Self::Borrowed => "items.iter()",
            Self::Owned | Self::Captured => "items.into_iter()",
            // The iterator has a closure in its type.
            Self::Resource => "items.iter().map(|session| *session)",
        }
    }

    /// One item, made where the work begins.
    fn item(self) -> &'static str {
        match self {
            Self::Owned => "items[0].clone()",
            Self::Borrowed => "&items[0]",
            Self::Captured => "items[0]",
            Self::Resource => "Session(&text)",
        }
    }

    fn item_type(self) -> &'static str {
        match self {
            Self::Owned => "String",
            Self::Borrowed => "&String",
            Self::Captured => "u32",
            Self::Resource => "Session<'_>",
        }
    }

    /// What the work does with its item `x`.
    fn work(self, failure: Failure) -> String {
        let awaited = match self {
            Self::Owned | Self::Borrowed => "look(&x).await?",
            Self::Captured => "client.get(x).await?",
            Self::Resource => "look(x.text()).await?",
        };
        format!("let n = {awaited}; Ok::<usize, {}>(n)", failure.name())
    }

    /// The `async fn` of the generated crate that does the work.
    pub(crate) fn function(self, failure: Failure) -> String {
        let client = match self {
            Self::Captured => "client: &Client, ",
            Self::Owned | Self::Borrowed | Self::Resource => "",
        };
        format!(
            "pub async fn {}({client}x: {}) -> Result<usize, {}> {{ {} }}",
            self.function_name(failure),
            self.item_type(),
            failure.name(),
            self.work(failure)
        )
    }

    fn function_name(self, failure: Failure) -> String {
        format!("{self:?}_{failure:?}").to_lowercase()
    }
}

/// The work of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) data: Data,
    pub(crate) failure: Failure,
    pub(crate) form: Form,
}

impl Work {
    /// The locals around the call. Closures with an `async move` block share a reference.
    pub(crate) fn locals(self) -> String {
        let locals = self.data.locals();
        if self.form == Form::ClosureMove && self.data == Data::Captured {
            format!("{locals} let client = &client;")
        } else {
            locals.to_owned()
        }
    }

    fn body(self) -> String {
        self.data.work(self.failure)
    }

    /// As a function of an item. A block is none.
    pub(crate) fn of_item(self) -> Option<String> {
        let body = self.body();
        let function = self.data.function_name(self.failure);
        match self.form {
            Form::Block => None,
            Form::AsyncClosure => Some(format!("async |x| {{ {body} }}")),
            Form::ClosureMove => Some(format!("|x| async move {{ {body} }}")),
            Form::AsyncFn if self.data == Data::Captured => {
                Some(format!("|x| {function}(&client, x)"))
            }
            Form::AsyncFn => Some(function),
        }
    }

    /// As a future.
    pub(crate) fn future(self) -> String {
        let (body, item) = (self.body(), self.data.item());
        let function = self.data.function_name(self.failure);
        match self.form {
            Form::Block if matches!(self.data, Data::Owned | Data::Resource) => {
                format!("{{ let x = {item}; async move {{ {body} }} }}")
            }
            Form::Block => format!("async {{ let x = {item}; {body} }}"),
            Form::AsyncClosure if self.data == Data::Owned => {
                format!("(async |x: String| {{ {body} }})({item})")
            }
            Form::AsyncClosure => format!("(async || {{ let x = {item}; {body} }})()"),
            Form::ClosureMove => format!("(|| {{ let x = {item}; async move {{ {body} }} }})()"),
            Form::AsyncFn if self.data == Data::Captured => format!("{function}(&client, {item})"),
            Form::AsyncFn => format!("{function}({item})"),
        }
    }

    /// As several futures.
    pub(crate) fn futures(self) -> String {
        match self.of_item() {
            Some(work) => format!("{}.map({work})", self.data.items()),
            None => format!("[{}]", self.future()),
        }
    }

    /// As a closure with an argument that it does not use.
    pub(crate) fn closure(self) -> Option<String> {
        let (body, item) = (self.body(), self.data.item());
        match self.form {
            Form::Block => None,
            Form::AsyncClosure => Some(format!("async |_| {{ let x = {item}; {body} }}")),
            Form::ClosureMove => Some(format!("|_| {{ let x = {item}; async move {{ {body} }} }}")),
            Form::AsyncFn => Some(format!("|_| {}", self.future())),
        }
    }

    /// As the body of a group, which spawns a child and makes a `BoxError` of its error.
    pub(crate) fn group_body(self) -> Option<String> {
        let item = self.data.item();
        let spawns = "group.spawn(async {});";
        let ends = format!(
            "let done: Result<usize, {}> = async {{ {} }}.await; Ok(done?)",
            self.failure.name(),
            self.body()
        );
        match self.form {
            Form::Block => None,
            Form::AsyncClosure => Some(format!(
                "async |group| {{ let x = {item}; {spawns} {ends} }}"
            )),
            Form::ClosureMove => Some(format!(
                "|group| {{ let x = {item}; async move {{ {spawns} {ends} }} }}"
            )),
            Form::AsyncFn => {
                let future = self.future();
                Some(format!("async |group| {{ {spawns} Ok({future}.await?) }}"))
            }
        }
    }

    /// As the use of a resource, between its acquisition and its release.
    pub(crate) fn bracketed(self) -> Option<String> {
        let (future, error) = (self.future(), self.failure.name());
        let (resource, acquire) = match self.data {
            Data::Resource => ("Session<'static>", "log_in"),
            Data::Owned | Data::Borrowed | Data::Captured => ("Connection", "connect"),
        };
        let acquire = format!("async {{ Ok::<{resource}, {error}>({acquire}().await?) }}");
        let uses =
            format!("async |r: &mut {resource}| {{ look(r.text()).await?; {future}.await }}");
        match self.form {
            Form::Block => None,
            Form::AsyncClosure => Some(format!("{acquire}, {uses}, async |r| drop(r)")),
            Form::ClosureMove => Some(format!(
                "{acquire}, |_: &mut {resource}| {future}, |r| async move {{ drop(r) }}"
            )),
            Form::AsyncFn => Some(format!("{acquire}, {uses}, close")),
        }
    }

    /// As a child that reports that it is ready.
    pub(crate) fn starting(self) -> Option<String> {
        let (future, error) = (self.future(), self.failure.name());
        let argument = "started: Started<u32>";
        match self.form {
            Form::Block => None,
            Form::AsyncClosure => Some(format!(
                "async move |{argument}| {{ started.ready(1); {future}.await }}"
            )),
            Form::ClosureMove => Some(format!(
                "|{argument}| async move {{ started.ready(1); {future}.await }}"
            )),
            Form::AsyncFn => Some(format!(
                "{{ async fn serve({argument}) -> Result<usize, {error}> {{ \
                 started.ready(1); Ok(look(\"a\").await?) }} serve }}"
            )),
        }
    }
}
