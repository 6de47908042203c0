//! What identifies a task: ids, names, paths and spawn locations.

use super::chain::Chain;
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::OnceLock;

/// The number of a task, unique within the process.
///
/// It prints as the number of the group, a dot, and the index in that group: `3.17`. Index 0 stands
/// for the group itself and for its body, which run as one; children count from 1 in spawn order.
///
/// ```
/// use taskgroup::TaskGroup;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     let (first, second) = (group.spawn(async {}), group.spawn(async {}));
///     assert_eq!(first.id().group(), second.id().group());
///     assert_eq!((first.id().index(), second.id().index()), (1, 2));
///     println!("{}", second.id()); // such as 3.2
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    group: u32,
    index: u32,
}

impl TaskId {
    pub(crate) fn new(group: u32, index: u32) -> Self {
        Self { group, index }
    }

    /// The number of the group.
    pub fn group(self) -> u32 {
        self.group
    }

    /// The position in the group, in spawn order.
    pub fn index(self) -> u32 {
        self.index
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.group, self.index)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({self})")
    }
}

/// What identifies a task or a group: its name, its id, its path and the line of code that started
/// it.
///
/// Every error carries one, so a report says which task failed and where it came from. It is cheap
/// to clone.
///
/// ```
/// use taskgroup::TaskGroup;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let run = TaskGroup::run(async |group| {
///     group.task("fetch").spawn(async { Err::<(), _>("connection refused") });
///     Ok(())
/// });
/// let error = run.await.unwrap_err();
/// let task = error.cause().info();
/// assert_eq!(task.name(), "fetch");
/// println!("{} ({}) was spawned at {}", task.path(), task.id(), task.location());
/// # }
/// ```
#[derive(Clone)]
pub struct TaskInfo(Chain<Record>);

struct Record {
    name: Cow<'static, str>,
    id: TaskId,
    location: &'static Location<'static>,
}

impl TaskInfo {
    /// `parent` is the scope above. The new path is the parent's path followed by the name.
    pub(crate) fn new(
        name: impl Into<Cow<'static, str>>,
        id: TaskId,
        parent: Option<&TaskInfo>,
        location: &'static Location<'static>,
    ) -> Self {
        let record = Record {
            name: name.into(),
            id,
            location,
        };
        Self(Chain::new(record, parent.map(|parent| &parent.0)))
    }

    /// The process, for what belongs to no task.
    pub(crate) fn process() -> Self {
        static PROCESS: OnceLock<TaskInfo> = OnceLock::new();
        let new = || Self::new("process", TaskId::new(0, 0), None, Location::caller());
        PROCESS.get_or_init(new).clone()
    }

    /// The name given by the caller, or the default one.
    pub fn name(&self) -> &str {
        &self.0.value().name
    }

    /// The number of the task.
    pub fn id(&self) -> TaskId {
        self.0.value().id
    }

    /// The names from the root group down to this task, printed as `main/fetch/user_123`.
    pub fn path(&self) -> TaskPath<'_> {
        TaskPath(self)
    }

    /// Where the task was spawned or the group was run.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.value().location
    }
}

impl fmt::Debug for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskInfo")
            .field("name", &self.name())
            .field("id", &self.id())
            .field("path", &self.path())
            .field("location", &format_args!("{}", self.location()))
            .finish()
    }
}

/// The names from the root group down to one task or group.
///
/// `Display` joins them with slashes: `main/fetch/user_123`. A path compares equal to a string of
/// that form. [`names`](Self::names) gives the single names, which may contain slashes themselves.
///
/// ```
/// use taskgroup::TaskGroup;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::builder().name("shop").run(async |group| {
///     let handle = group.task("orders").spawn(async {});
///     let info = handle.info();
///     assert_eq!(info.path(), "shop/orders");
///     assert_eq!(info.path().names().collect::<Vec<_>>(), ["shop", "orders"]);
///     assert_eq!(info.path().depth(), 2);
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct TaskPath<'a>(&'a TaskInfo);

impl<'a> TaskPath<'a> {
    /// The single names, the root group first.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &'a str> + ExactSizeIterator + use<'a> {
        let mut names: Vec<&'a str> = Vec::with_capacity(self.depth());
        names.extend(self.0.0.iter().map(|record| &*record.name));
        names.into_iter().rev()
    }

    /// How many names the path has; 1 for the root group.
    pub fn depth(&self) -> usize {
        self.0.0.length()
    }

    /// The last `count` names, with an ellipsis for the names above, which it does not walk.
    pub(super) fn tail(self, count: usize) -> impl fmt::Display + use<'a> {
        Tail { path: self, count }
    }
}

struct Tail<'a> {
    path: TaskPath<'a>,
    count: usize,
}

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.depth() <= self.count {
            return self.path.fmt(f);
        }
        f.write_str("…")?;
        let mut names: Vec<&str> = self
            .path
            .0
            .0
            .iter()
            .take(self.count)
            .map(|r| &*r.name)
            .collect();
        while let Some(name) = names.pop() {
            write!(f, "/{name}")?;
        }
        Ok(())
    }
}

impl fmt::Display for TaskPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.names().enumerate() {
            if i > 0 {
                f.write_str("/")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for TaskPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

impl PartialEq<str> for TaskPath<'_> {
    fn eq(&self, other: &str) -> bool {
        let printed = self.to_string();
        printed == other
    }
}

impl PartialEq<&str> for TaskPath<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}
