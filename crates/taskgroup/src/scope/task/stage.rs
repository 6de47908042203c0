//! One child task: its future, later its outcome, behind the header of its node, in one allocation.
//!
//! The invariants K1–K7 stand in [`header`](super::header): which thread may touch the stage, and
//! what keeps the node. The future is never moved: it is polled and dropped where it was built.
//!
//! All that depends on the type of the future is here, and it is little: a program contains it once
//! for each kind of child. What is the same for all children is in `step` and `complete`, which
//! reach the stage through the [`Vtable`].

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use super::birth::{Birth, Spec};
use super::ended::{End, NoValue};
use super::header::{Change, Header, Polled, StageIs, TaskRef, Vtable};
use super::joiner::Joiner;
use super::kept::{Boxing, OutcomeCell, is_large};
use super::outcome::JoinError;
use super::output::{TaskOutput, converted};
use super::pool::Memory;
use crate::gate;
use crate::reason::CancelReason;
use crate::scope::cancelled::Cancelled;
use crate::scope::events;
use crate::sync::UnsafeCell;

enum Stage<F: Future<Output: TaskOutput>> {
    Future(F),
    /// The future has ended without a value; what it left inside the task has not.
    NoValue(End),
    /// Until the joiner takes it. A value is here as soon as the future has ended.
    Outcome(OutcomeCell<<F::Output as TaskOutput>::Value>),
    Empty,
}

/// The node of a task.
// The header comes first: a pointer to it is one to the node.
#[repr(C)]
struct Task<F: Future<Output: TaskOutput>> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
}

/// Makes a node. `'table` stands for the type of its future: no other node has the same lifetime.
#[derive(Clone, Copy)]
pub(crate) struct Maker<'table> {
    table: &'static Vtable,
    of_type: PhantomData<fn(&'table ()) -> &'table ()>,
}

/// A new node that has a header and no stage yet.
pub(crate) struct Node<'table> {
    born: Born,
    of_type: PhantomData<fn(&'table ()) -> &'table ()>,
}

/// A new task, with its future.
pub(crate) struct Born {
    node: NonNull<Header>,
    /// It was refused, and has ended.
    refused: Option<CancelReason>,
}

impl<'table> Maker<'table> {
    /// The node of a task whose token has been taken.
    #[inline(always)]
    pub(crate) fn node(self, spec: Spec) -> Node<'table> {
        let node = Header::born(spec, Birth::Spawned, self.table);
        self.born(node, None)
    }

    /// The node of a task that has ended before it began.
    pub(crate) fn refused(self, spec: Spec, reason: CancelReason) -> Node<'table> {
        let node = Header::born(spec, Birth::Refused, self.table);
        self.born(node, Some(reason))
    }

    #[inline]
    fn born(self, node: NonNull<Header>, refused: Option<CancelReason>) -> Node<'table> {
        Node {
            born: Born { node, refused },
            of_type: PhantomData,
        }
    }
}

impl Born {
    /// The task, which the caller submits to its driver, unless it was refused. Then its future is
    /// dropped; a panic of that goes to the caller.
    #[inline]
    pub(crate) fn begin(self) -> Option<TaskRef> {
        // SAFETY: K4, K6: it is a new node, born with a reference for its driver. If it was
        // refused, there is none, and this one is not dropped.
        let task = ManuallyDrop::new(unsafe { TaskRef::from_raw(self.node) });
        let Some(reason) = self.refused else {
            events::spawned(task.header());
            return Some(ManuallyDrop::into_inner(task));
        };
        // K2: the caller has its joiner.
        let dropped = task.empty_stage();
        task.change(Change::Fail(NoValue::Cancelled(reason)));
        if let Err(payload) = dropped {
            gate::resume(payload);
        }
        None
    }
}

/// A new task and its joiner, unless `make` gives none.
#[inline]
pub(crate) fn new<F, V, R>(
    future: F,
    make: impl for<'table> FnOnce(Maker<'table>) -> Result<Node<'table>, R>,
) -> Result<(Born, Joiner<V>), (R, F)>
where
    F: Future<Output: TaskOutput<Value = V>> + Send + 'static,
    V: Send + 'static,
{
    if const { is_large::<F>() } {
        new_as(future, make, Box::pin)
    } else {
        new_as(future, make, |future| future)
    }
}

/// As [`new`]. `kept` is the form in which the task has its future: that is not large.
#[inline]
fn new_as<G, F, V, R>(
    future: G,
    make: impl for<'table> FnOnce(Maker<'table>) -> Result<Node<'table>, R>,
    kept: impl FnOnce(G) -> F,
) -> Result<(Born, Joiner<V>), (R, G)>
where
    F: Future<Output: TaskOutput<Value = V>> + Send + 'static,
    V: Send + 'static,
{
    let table = if const { is_large::<V>() } {
        &Task::<Boxing<F>>::VTABLE
    } else {
        &Task::<F>::VTABLE
    };
    let maker = Maker {
        table,
        of_type: PhantomData,
    };
    let born = match make(maker) {
        Ok(node) => node.born,
        Err(refused) => return Err((refused, future)),
    };
    let future = kept(future);
    if const { is_large::<V>() } {
        // SAFETY: K6: the node is of this type: only the maker with its table gives out a `Node` of
        // this lifetime. It is new, and has no stage.
        unsafe { Task::set_stage(born.node, Stage::Future(Boxing { future })) };
    } else {
        // SAFETY: K6: as above.
        unsafe { Task::set_stage(born.node, Stage::Future(future)) };
    }
    // SAFETY: K2, K4, K6: it is born with a reference for its one joiner. It keeps values as the
    // joiner looks for them: of type `V`, or of type `Box<V>` if they are large.
    let joiner = unsafe { Joiner::from_raw(born.node) };
    Ok((born, joiner))
}

impl<F> Task<F>
where
    F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
{
    const VTABLE: Vtable = Vtable {
        poll: Self::poll,
        change: |task, change| Self::of(task).change(change),
        look: Self::look,
        memory: Memory::of::<Self>(),
        drops_value: std::mem::needs_drop::<<F::Output as TaskOutput>::Value>(),
    };

    /// # Safety
    /// K6: it is a new node of this type, without a stage.
    #[inline]
    unsafe fn set_stage(node: NonNull<Header>, stage: Stage<F>) {
        let node: NonNull<Self> = node.cast();
        // SAFETY: K6: the pointer is valid for the whole node.
        let place = unsafe { &raw mut (*node.as_ptr()).stage };
        // SAFETY: K6: as above, and nothing else has the node yet.
        unsafe { place.write(UnsafeCell::new(stage)) };
    }

    fn of(task: &TaskRef) -> &Self {
        // SAFETY: K4, K6: it is called through the table of this type only, so this is the type of
        // the node. `task` keeps the node.
        unsafe { task.as_raw().cast::<Self>().as_ref() }
    }

    /// The stage, for as long as one statement needs it. The caller has it by K1, by K2 for a task
    /// that was refused, or by K3.
    #[allow(clippy::mut_from_ref)]
    fn own_stage(&self) -> &mut Stage<F> {
        // SAFETY: K1, K2, K3: the stage is the caller's alone. K7: no other borrow of it is alive.
        unsafe { &mut *self.stage.get() }
    }

    /// The caller has `RUNNING` (K1).
    fn poll(task: &TaskRef, cx: &mut Context<'_>) -> Polled {
        let own = Self::of(task);
        let Stage::Future(future) = own.own_stage() else {
            unreachable!("K1: the future is there until it ends or winds up")
        };
        // SAFETY: K7: the future is not moved before it is dropped in place.
        let future = unsafe { Pin::new_unchecked(future) };
        let value = match future.poll(cx) {
            Poll::Pending => return Polled::Pending,
            Poll::Ready(output) => match converted(output) {
                Ok(value) => value,
                Err(error) => return Polled::Failed(error),
            },
        };
        // The value takes the place of the future, so the drop of that comes first.
        let dropped = if std::mem::needs_drop::<F>() {
            gate::call_apart(|| *own.own_stage() = Stage::Empty)
        } else {
            Ok(())
        };
        own.replace(Stage::Outcome(OutcomeCell::new(Some(Ok(value)))));
        match dropped {
            Ok(()) => Polled::Value,
            Err(payload) => Polled::DropPanicked(payload),
        }
    }

    /// The caller has the stage as [`own_stage`](Self::own_stage) says.
    fn change(&self, change: Change<'_>) {
        let new = match change {
            Change::Empty => return *self.own_stage() = Stage::Empty,
            Change::Keep(end) => Stage::NoValue(end),
            Change::Take(end) => match self.own_stage() {
                Stage::NoValue(kept) => {
                    *end = std::mem::replace(kept, End::Cancelled);
                    Stage::Empty
                }
                _ => return,
            },
            Change::Fail(why) => {
                let error = match why {
                    NoValue::Cancelled(reason) => JoinError::Cancelled(Cancelled::plain(reason)),
                    NoValue::Failed(failed) => JoinError::Failed(failed),
                };
                Stage::Outcome(OutcomeCell::new(Some(Err(error))))
            }
        };
        self.replace(new);
    }

    /// What is there has nothing to drop: an assignment would look what there is.
    #[inline]
    fn replace(&self, new: Stage<F>) {
        std::mem::forget(std::mem::replace(self.own_stage(), new));
    }

    /// # Safety
    /// The caller has the stage by K1, or acts for the joiner of a task that has ended (K2).
    unsafe fn look(task: &TaskRef) -> StageIs {
        // SAFETY: K1, K2: nothing is written to the stage meanwhile, but by the caller through the
        // cell in it.
        match unsafe { &*Self::of(task).stage.get() } {
            Stage::Future(_) => StageIs::Future,
            Stage::Outcome(outcome) => StageIs::Outcome(NonNull::from(outcome).cast()),
            Stage::NoValue(_) | Stage::Empty => StageIs::Neither,
        }
    }
}
