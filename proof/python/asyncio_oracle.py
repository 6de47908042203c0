"""The oracle on asyncio: CPython's TaskGroup, timeout and Task.cancel, on a loop whose clock jumps.

asyncio delivers a cancellation once, as an exception thrown into the task. The interpreter tracks
the scopes that a task is in next to asyncio's own state. Where asyncio has lost what a
level-triggered model still has, the interpreter bridges the gap and counts the bridge under a name.
"""

import asyncio
import contextlib
import heapq
import selectors
import sys

from oracle import Deferring, Fail, Panic, Tally, TimedOut, Trace, error_tree, label, serve


class JumpLoop(asyncio.SelectorEventLoop):
    """A loop in virtual time: when nothing is ready, the clock goes to the next timer."""

    def __init__(self):
        super().__init__(selectors.SelectSelector())
        self.instant = 0.0
        # The base loop takes timers due before now plus this: far less than a variation shifts.
        self._clock_resolution = 1e-6

    def time(self):
        return self.instant

    def _run_once(self):
        if not self._ready:
            while self._scheduled and self._scheduled[0]._cancelled:
                handle = heapq.heappop(self._scheduled)
                handle._scheduled = False
                self._timer_cancelled_count -= 1
            if not self._scheduled:
                raise RuntimeError("the program never ends")
            self.instant = max(self.instant, self._scheduled[0]._when)
        super()._run_once()


class Scope:
    """One scope of the mirrored tree. `cancelled` says whether it was cancelled itself."""

    def __init__(self, parent, *, shield=False, group=None):
        self.parent = parent
        self.shield = shield
        self.group = group
        self.flag = False
        # Is to be cancelled in asyncio's next pass: a child has failed, or the deadline was moved
        # to the past.
        self.doomed = False
        # When a child of the group ended last.
        self.ended = None
        # A child was cut off by a cancellation further out.
        self.cut = False
        # A cancellation was told in it.
        self.told = False
        # It is around a whole task.
        self.root = False
        self.timeout = None

    def cancelled(self):
        if self.group is not None and self.group._aborting:
            return True
        if self.timeout is not None and self.timeout.expired():
            return True
        return self.flag


def cancelled_above(scope):
    """The outermost cancelled scope that `scope` sees through no shield, or None."""
    found = None
    while scope is not None:
        if scope.cancelled():
            found = scope
        if scope.shield:
            break
        scope = scope.parent
    return found


def doomed_above(scope):
    """Whether a scope above is about to be cancelled."""
    while scope is not None and not scope.shield:
        if scope.doomed:
            return True
        scope = scope.parent
    return False


def tell(scope):
    """The scopes that a `Cancelled` of the library guards when it is delivered.

    They reach up to the scope that was cancelled, or to the scope of the task.
    """
    while scope is not None:
        scope.told = True
        if scope.cancelled() or scope.root:
            return
        scope = scope.parent


def ends_here(scope):
    """Whether a scope above is cancelled, or has a deadline that was moved to the past and has
    fired for all but asyncio."""
    if cancelled_above(scope) is not None:
        return True
    while scope is not None and not scope.shield:
        if scope.doomed and scope.timeout is not None:
            return True
        scope = scope.parent
    return False


class Group(asyncio.TaskGroup):
    """TaskGroup with the `cancel` of CPython 3.15, without the leak that 3.13 closed."""

    def __init__(self, interpreter):
        self.interpreter = interpreter
        self.trace = interpreter.trace
        # The scope that is this group.
        self.scope = None
        # `cancel` was called, so nothing further out cuts the children off.
        self.called = False
        super().__init__()

    @property
    def _on_completed_fut(self):
        return self.emptied

    @_on_completed_fut.setter
    def _on_completed_fut(self, future):
        self.emptied = future and Emptied(self)

    def cancel(self):
        self.called = True
        if not self._aborting and not self._parent_cancel_requested:
            self._abort()
            self._parent_cancel_requested = True
            self._parent_task.cancel()

    async def __aexit__(self, et, exc, tb):
        requested = self._parent_cancel_requested
        parent = self._parent_task
        try:
            await super().__aexit__(et, exc, tb)
        finally:
            if self._parent_cancel_requested and not requested:
                self.trace.rule("asyncio-group-leaves-its-cancel-counted")
                parent.uncancel()
            if self._parent_cancel_requested and parent._must_cancel and parent.cancelling() == 0:
                self.trace.rule("asyncio-group-leaves-its-cancel-pending")
                try:
                    await asyncio.sleep(0)
                except asyncio.CancelledError:
                    pass
        # Here nothing was raised: a CancelledError of the body was this group's own doing.
        return et is asyncio.CancelledError and requested


class Handle:
    def __init__(self, loop):
        self.loop = loop
        self.waiters = []
        self.outcome = None
        self.task = None
        self.scope = None
        # Whether its end is seen: a task that is started has a name only once it is ready.
        self.told = True
        self.ready = False
        # How it failed before it was ready.
        self.fault = None

    def wait(self):
        """A future of the waiter's own: one that is cancelled takes nothing from the others."""
        waiter = self.loop.create_future()
        self.waiters.append(waiter)
        return waiter

    def say(self):
        """The task is ready."""
        self.ready = True
        self.wake()

    def wake(self):
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_for_end(self):
        while self.outcome is None:
            await self.wait()


class Emptied(asyncio.Future):
    """Resolves when the children of a group have ended. A cancellation of the task that waits for
    them goes through the group, also when the group is aborting already and would keep it."""

    def __init__(self, group):
        super().__init__(loop=group.interpreter.loop)
        self.group = group

    def cancel(self, msg=None):
        if self.group._aborting:
            # A timeout says that it has expired only after it has cancelled.
            name = "asyncio-aborting-group-keeps-the-cancel"
            self.get_loop().call_soon(self.group.interpreter.spread, self.group.scope, name)
        return super().cancel(msg)


class Leave(asyncio.Future):
    """Resolves when a section has ended. A cancellation of its waiting task is delayed."""

    def __init__(self, interpreter, scope):
        super().__init__(loop=interpreter.loop)
        self.interpreter = interpreter
        self.scope = scope

    def cancel(self, msg=None):
        self.interpreter.trace.rule("asyncio-shield-defers-the-cancel")
        # A timeout says that it has expired only after it has cancelled.
        self.interpreter.loop.call_soon(self.interpreter.spread, self.scope)
        return True


def tree_of(error):
    return error_tree(error, asyncio.CancelledError)


def tree_of_raw(error, ident):
    """The same of what comes out of the group of a statement."""
    label(error, ident)
    return tree_of(error)


class Interpreter(Deferring):
    def __init__(self, loop, variation):
        super().__init__()
        self.loop = loop
        self.trace = Trace(loop.time, variation)
        self.groups = {}
        self.tallies = {}
        self.deadlines = {}
        self.handles = {}
        self.tasks = []
        # Deadlines that were moved to the past and have yet to be seen so.
        self.fired = set()

    async def main(self, program):
        try:
            await self.block(0, Scope(None), program)
            outcome = "ok"
        except BaseException as error:
            outcome = tree_of(error) or "cancelled"
        self.trace.log(0, "end", 0, outcome)

    async def block(self, task, scope, statements):
        for statement in statements:
            await getattr(self, statement["op"])(task, scope, statement)

    async def scoped(self, task, scope, statements):
        """A block with a scope of its own, at whose end runs what was deferred there."""
        async with self.scope(task, scope):
            await self.block(task, scope, statements)

    def spread(self, scope, name="asyncio-cancel-travels-through-the-body"):
        """Cancel at once what a cancelled outer scope reaches: the groups between it and here.

        asyncio cancels the children of an inner group only when the exception has travelled through
        the group's body, and through the groups further in.
        """
        top = cancelled_above(scope)
        while top is not None and scope is not top:
            group = scope.group
            if group is not None and not group._aborting:
                if group._tasks:
                    self.trace.rule(name)
                group._abort()
            scope = scope.parent

    async def suspend(self, scope, awaitable, ready):
        """A suspension point: every wait of a program goes through here."""
        if cancelled_above(scope) is not None and not asyncio.current_task()._must_cancel:
            # TG37, TG42 and every wait in a cancelled scope after the first.
            close = getattr(awaitable, "close", None)
            if close is not None:
                close()
            self.spread(scope)
            await self.lag()
            if ready() and self.trace.due_first():
                self.trace.rule("asyncio-cancel-beats-what-is-ready")
                return
            self.trace.rule("asyncio-cancel-is-delivered-once")
            raise asyncio.CancelledError
        try:
            await awaitable
        except asyncio.CancelledError:
            self.spread(scope)
            await self.lag()
            if not (ready() and self.trace.due_first()):
                raise
            # If a wait ends and a cancellation comes at one instant, asyncio prefers the
            # cancellation. The library takes the value.
            self.trace.rule("asyncio-cancel-beats-what-is-ready")

    async def end_here(self, scope):
        self.trace.rule("asyncio-goes-on-in-a-cancelled-scope")
        await self.suspend(scope, asyncio.sleep(0), lambda: False)

    async def lag(self):
        """Let a few passes go by. Cancelled meanwhile, the task finds out at its next wait."""
        for _ in range(self.trace.lag()):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)

    async def shielded(self, scope, run):
        """Run a coroutine in a scope that outer cancellations do not reach, to its end.

        asyncio.shield would leave it running in the background. For a critical section its
        documentation recommends a separate task that is awaited.
        """
        ended = waiting = False
        error = None
        leave = Leave(self, scope)

        async def section():
            nonlocal ended, error
            try:
                await run
            except BaseException as raised:
                error = raised
            ended = True
            if waiting:
                # Leaving is no suspension point either: the task goes on before anything else.
                leave.set_result(None)
                ready = self.loop._ready
                ready.appendleft(ready.pop())

        self.step_now(section())
        if not ended:
            waiting = True
            await leave
        if error is not None:
            raise error

    def step_now(self, run, group=None):
        """Start a task and run its first step: entering a section is no suspension point."""
        me = asyncio.current_task()
        self.tasks.append((group or self.loop).create_task(run))
        first_step = self.loop._ready.pop()
        asyncio.tasks._leave_task(self.loop, me)
        try:
            first_step._run()
        finally:
            asyncio.tasks._enter_task(self.loop, me)

    async def sleep(self, task, scope, s):
        try:
            due = int(self.loop.time()) + s["ms"]
            delay = self.trace.delay(s["ms"])
            # Due at the same instant is due, however the variation shifts it.
            await self.suspend(scope, asyncio.sleep(delay), lambda: int(self.loop.time()) >= due)
        except asyncio.CancelledError:
            self.trace.log(task, "interrupted", s["id"])
            raise
        self.trace.log(task, "slept", s["id"])

    async def fail(self, task, scope, s):
        self.trace.log(task, "fail", s["id"])
        raise Fail(s["id"])

    async def panic(self, task, scope, s):
        self.trace.log(task, "panic", s["id"])
        raise Panic(s["id"])

    async def defer(self, task, scope, s):
        stack, around = self.stacks[task][-1]
        stack.push_async_callback(self.deferred, task, around, s)

    async def deferred(self, task, scope, s):
        async def run():
            # Ours runs in a task of its own.
            await self.lag()
            self.trace.log(task, "deferred", s["id"])
            await self.block(task, Scope(scope, shield=True), s["body"])
            self.trace.log(task, "undeferred", s["id"])

        await self.shielded(scope, run())

    async def group(self, task, scope, s):
        async def body(inner):
            await self.block(task, inner, s["body"])

        await self.task_group(task, scope, s["id"], s.get("policy", "fail_fast"), "group", body)

    async def task_group(self, task, scope, ident, policy, kind, body):
        """Run `body` in a task group, and make of what comes out of it what the policy says."""
        done = waited = False
        error = None
        group = Group(self)
        inner = group.scope = Scope(scope, group=group)
        tally = self.tallies[ident] = Tally(ident, policy)
        try:
            try:
                if ends_here(scope):
                    # To enter a group is no wait. In a cancelled scope ours does not begin a group.
                    await self.end_here(scope)
                async with self.scope(task, scope) as stack:
                    async with group:
                        self.groups[ident] = (group, inner)
                        await body(inner)
                        done = True
                        waited = any(not child.done() for child in group._tasks) or self.trace.still_counts(inner.ended)
                    waited = waited or bool(stack._exit_callbacks)
            finally:
                if waited or not done:
                    await self.lag()
            won = kind == "raced" and tally.succeeded
            if (waited or not done) and cancelled_above(scope) is not None and (not won or inner.cut):
                # TG42: an outer cancel that came while the group was being cancelled is forgotten.
                self.trace.rule("asyncio-group-forgets-the-outer-cancel")
                raise asyncio.CancelledError
            if done and not waited and inner.cut:
                self.trace.rule("asyncio-group-forgets-a-child-that-was-cut-off")
                raise asyncio.CancelledError
        except BaseException as raised:
            error = raised
        if error is not None and done and not waited and tree_of_raw(error, ident) is None and not inner.cut:
            # The last child has ended, but its group will notice that in the next pass.
            self.trace.rule("asyncio-waits-for-a-task-that-is-done")
            error = None
        if error is not None and kind == "raced" and tally.succeeded and not inner.cut:
            if tree_of_raw(error, ident) is None:
                # The value is there, so the race ends with it, and the cancellation comes at the
                # next wait.
                self.trace.rule("asyncio-cancel-beats-a-race-that-is-won")
                error = None
        failed = error is not None and tree_of_raw(error, ident) is not None
        error = tally.judge(error, ends_here(inner), failed)
        if error is None:
            self.trace.log(task, kind, ident, "ok" if done else "cancelled")
            return
        self.trace.log(task, kind, ident, tree_of_raw(error, ident) or "cancelled")
        raise error

    async def race(self, task, scope, s):
        """A task group whose tasks are the two sides; the first success cancels the other."""

        async def both(inner):
            for side in (s["left"], s["right"]):
                if cancelled_above(inner) is not None:
                    self.trace.rule("asyncio-starts-a-task-before-the-cancel-arrives")
                    inner.cut |= not inner.group.called
                    return
                # To begin one is no wait: the sides run inside their parent.
                self.step_now(self.side(side, inner, self.tallies[s["id"]]), inner.group)

        await self.task_group(task, scope, s["id"], "first_success", "raced", both)

    async def side(self, side, inner, tally):
        scope = Scope(inner)
        self.trace.log(side["id"], "start", side["id"])
        try:
            await self.scoped(side["id"], scope, side["body"])
        except BaseException as error:
            if tree_of(error) is None:
                self.cut_off(inner)
                raise
            tally.failures.append(error)
        else:
            tally.succeeded = True
            self.enough(inner)

    async def spawn(self, task, scope, s):
        handle = self.handles[s["id"]] = Handle(self.loop)
        handle.scope = Scope(self.groups[s["group"]][1])
        handle.scope.root = True
        self.spawn_into(handle, s, self.child(handle, s))

    def spawn_into(self, handle, s, run):
        group, group_scope = self.groups[s["group"]]
        try:
            late = cancelled_above(group_scope) is not None or doomed_above(group_scope)
            if late and self.trace.spawn_first():
                # As if the cancellation of this instant came right after.
                aborting, group._aborting = group._aborting, False
                handle.task = group.create_task(run)
                group._aborting = aborting
                handle.task.cancel()
            else:
                if late and not group._aborting:
                    self.trace.rule("asyncio-starts-a-task-before-the-cancel-arrives")
                    raise RuntimeError
                handle.task = group.create_task(run)
        except RuntimeError:
            # TG28: asyncio raises, ours gives a handle that ends cancelled.
            self.trace.rule("asyncio-spawn-into-a-cancelled-group-raises")
            run.close()
            self.end(s["id"], handle, "cancelled", refused=True)
            return
        # CA3: a task cancelled before its first step never runs, so its end is seen here only.
        handle.task.add_done_callback(lambda _: handle.outcome or self.end(s["id"], handle, "cancelled"))

    def end(self, ident, handle, outcome, *, refused=False):
        handle.outcome = outcome
        group = handle.scope.parent
        group.ended = int(self.loop.time())
        if outcome == "cancelled" and not refused:
            self.cut_off(group)
        if handle.told:
            self.trace.log(ident, "end", ident, outcome)
        handle.wake()

    @staticmethod
    def cut_off(group):
        """A child of the group was cancelled."""
        own = group.group.called or group.doomed
        if cancelled_above(group) is not None and not own:
            group.cut = True

    async def begins(self, handle, ident):
        """Whether a task takes its first step. Ours never polls one that is cancelled before it."""
        for _ in range(self.trace.lag()):
            await asyncio.sleep(0)
        if cancelled_above(handle.scope) is not None or doomed_above(handle.scope):
            # The failure is seen in the loop's next pass, and the cancellation has to travel
            # through the parent first; ours reaches the child at once.
            self.trace.rule("asyncio-starts-a-task-before-the-cancel-arrives")
            return False
        self.trace.log(ident, "start", ident)
        return True

    async def child(self, handle, s):
        ident = s["id"]
        outcome = "cancelled"
        try:
            if not await self.begins(handle, ident):
                return
            await self.scoped(ident, handle.scope, s["body"])
            outcome = "ok"
        except BaseException as error:
            outcome = tree_of(error) or "cancelled"
            if not self.keeps(s["group"], error):
                raise
        finally:
            self.child_ended(ident, handle, s, outcome)

    def keeps(self, ident, error):
        """Whether the error of a child is kept for the end of its group; else it is raised in the
        group."""
        if tree_of(error) is None:
            return False
        tally = self.tallies[ident]
        if tally.policy != "fail_fast":
            tally.failures.append(error)
            return True
        group, inner = self.groups[ident]
        inner.doomed = True
        if not self.trace.tell_first():
            group.cancel()
        return False

    def child_ended(self, ident, handle, s, outcome):
        inner = self.groups[s["group"]][1]
        tally = self.tallies[s["group"]]
        enough = tally.policy == "first_success" and outcome == "ok"
        tally.succeeded |= enough
        if enough and not self.trace.tell_first():
            self.enough(inner)
        self.end(ident, handle, outcome)
        if enough:
            self.enough(inner)

    @staticmethod
    def enough(inner):
        """A task has succeeded. What has been cancelled from further out is cut off by that."""
        if cancelled_above(inner) is None:
            inner.group.cancel()

    async def start(self, task, scope, s):
        """A task of the group that says through a future that it is ready."""
        ident = s["id"]
        handle = Handle(self.loop)
        handle.told = False
        handle.scope = Scope(self.groups[s["group"]][1])
        handle.scope.root = True
        try:
            if ends_here(scope):
                await self.end_here(scope)
            self.spawn_into(handle, s, self.starting(handle, s))
            try:
                if handle.outcome is None:
                    await self.suspend(scope, handle.wait(), lambda: handle.ready)
            except asyncio.CancelledError:
                # As long as it is not ready, it goes with its starter.
                self.cancel(handle)
                await self.shielded(scope, handle.wait_for_end())
                if handle.fault is not None and not self.keeps(s["group"], handle.fault):
                    # Its starter can do nothing about it any more, so the group has it (S41).
                    group = self.groups[s["group"]][0]
                    group._errors.append(handle.fault)
                    group.cancel()
                raise
        except asyncio.CancelledError:
            self.trace.log(task, "interrupted", ident)
            raise
        await self.lag()
        if handle.ready:
            self.handles[ident] = handle
            handle.told = True
            if handle.outcome is not None:
                self.trace.log(ident, "end", ident, handle.outcome)
        self.trace.log(task, "started", ident, "ok" if handle.ready else handle.outcome)

    async def starting(self, handle, s):
        ident = s["id"]
        outcome = "cancelled"
        own = False
        try:
            if not await self.begins(handle, ident):
                return
            async with self.scope(ident, handle.scope):
                try:
                    await self.block(ident, handle.scope, s["before"])
                except BaseException:
                    # The failure of a task that is not ready is its starter's, unless it comes of a
                    # cancellation. What was deferred comes after it.
                    own = cancelled_above(handle.scope) is not None
                    raise
                self.trace.log(ident, "ready", ident)
                handle.say()
                await self.block(ident, handle.scope, s["after"])
            outcome = "ok"
        except BaseException as error:
            outcome = tree_of(error) or "cancelled"
            own |= handle.ready
            if not own and outcome != "cancelled":
                handle.fault = error
            if outcome == "cancelled" or (own and not self.keeps(s["group"], error)):
                raise
        finally:
            if handle.ready:
                self.child_ended(ident, handle, s, outcome)
            else:
                self.end(ident, handle, outcome)

    @staticmethod
    def cancel(handle):
        if handle.task and not handle.scope.flag:
            handle.scope.flag = True
            handle.task.cancel()

    async def join(self, task, scope, s):
        handle = self.handles.get(s["task"])
        if handle is None:
            self.trace.log(task, "absent", s["id"])
            return
        ended = handle.outcome is not None
        # A sibling's failure is about to cancel this task, if it has not done so.
        if not ended or ends_here(scope) or (doomed_above(scope) and self.trace.due_first()):
            try:
                if ended:
                    await self.end_here(scope)
                await self.suspend(scope, self.wait_for(handle, s.get("give_up")), lambda: handle.outcome is not None)
            except asyncio.CancelledError:
                self.trace.log(task, "interrupted", s["id"])
                raise
            if handle.outcome is None:
                self.trace.log(task, "gave_up", s["id"])
                return
        self.trace.log(task, "joined", s["id"], handle.outcome)

    def wait_for(self, handle, units):
        """A future of the end of a task, or of so much time."""
        waiter = handle.wait()
        if units is not None:
            timer = self.loop.call_at(self.when(units), lambda: waiter.done() or waiter.set_result(None))
            waiter.add_done_callback(lambda _: timer.cancel())
        return waiter

    async def cancel_task(self, task, scope, s):
        handle = self.handles.get(s["task"])
        self.trace.log(task, "cancels" if handle else "absent", s["id"])
        if handle:
            self.cancel(handle)

    async def cancel_group(self, task, scope, s):
        self.trace.log(task, "cancels", s["id"])
        self.groups[s["group"]][0].cancel()

    async def shield(self, task, scope, s):
        inner = Scope(scope, shield=True)
        await self.shielded(scope, self.scoped(task, inner, s["body"]))
        self.trace.log(task, "unshielded", s["id"])

    def when(self, units):
        return None if units is None else self.loop.time() + self.trace.delay(units)

    async def deadline(self, task, scope, s):
        done = False
        inner = Scope(scope)
        outcome = None
        try:
            async with asyncio.timeout_at(self.when(s["ms"])) as timeout:
                inner.timeout = timeout
                self.deadlines[s["id"]] = timeout, inner
                await self.scoped(task, inner, s["body"])
                done = True
        except TimeoutError:
            if cancelled_above(scope) is not None:
                self.trace.rule("asyncio-timeout-takes-the-outer-cancel")
                raise asyncio.CancelledError from None
            outcome = "expired"
        if done:
            outcome = "ok"
        self.trace.log(task, "deadline", s["id"], outcome)
        if not done and s["kind"] == "timeout":
            raise TimedOut(s["id"])

    async def reschedule(self, task, scope, s):
        timeout, inner = self.deadlines[s["deadline"]]
        self.trace.log(task, "reschedules", s["id"])
        if s["deadline"] in self.fired and not timeout.expired():
            self.trace.rule("asyncio-past-deadline-can-be-moved")
        elif not timeout.expired():
            timeout.reschedule(self.when(s["ms"]))
            if s["ms"] == 0:
                self.fired.add(s["deadline"])
                inner.doomed = True

    async def ensure(self, task, scope, s):
        try:
            await self.block(task, scope, s["body"])
        finally:
            self.trace.log(task, "cleanup", s["id"])

    async def bracket(self, task, scope, s):
        async def release():
            self.trace.log(task, "release", s["id"])
            await self.block(task, Scope(scope, shield=True), s["release"])
            self.trace.log(task, "released", s["id"])

        try:
            await self.scoped(task, scope, s["body"])
        finally:
            await self.shielded(scope, release())

    async def on_cancel(self, task, scope, s):
        async def cleanup():
            self.trace.log(task, "oncancel", s["id"])
            await self.block(task, Scope(scope, shield=True), s["cleanup"])
            self.trace.log(task, "cleaned", s["id"])

        if scope.told and ends_here(scope):
            # A `try` is no wait. Ours has been told already, and does not begin another one.
            await self.end_here(scope)
        try:
            await self.scoped(task, scope, s["body"])
        except asyncio.CancelledError:
            tell(scope)
            await self.shielded(scope, cleanup())
            if s["then"] == "fail":
                raise Fail(s["id"]) from None
            if s["then"] == "leave":
                raise

    async def catch(self, task, scope, s):
        try:
            await self.block(task, scope, s["body"])
        except Exception as error:
            self.trace.log(task, "caught", s["id"], tree_of(error))


def run(program, variation):
    loop = JumpLoop()
    try:
        interpreter = Interpreter(loop, variation)
        loop.run_until_complete(interpreter.main(program))
        return interpreter.trace.answer()
    finally:
        loop.close()


if __name__ == "__main__":
    if sys.argv[1:] == ["--version"]:
        print(f"asyncio of CPython {sys.version.split()[0]}")
    else:
        serve(run)
