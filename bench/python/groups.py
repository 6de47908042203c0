"""The same work in Python: asyncio, asyncio on uvloop, Trio, AnyIO.

    groups.py <library> <row> <n> <times>    prints the nanoseconds of all repetitions together
    groups.py <library>                      prints its version

Each program checks its own result. Rows and sizes mean what they mean in the Rust programs.
"""

import asyncio
import platform
import sys
import time

MINUTE = 60


class Asyncio:
    """The standard library's asyncio.TaskGroup."""

    @staticmethod
    def version():
        return platform.python_version()

    @staticmethod
    def run(main):
        return asyncio.run(main())

    @staticmethod
    async def spawn_join(n):
        async def child(index):
            return index

        begin = time.perf_counter_ns()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(index)) for index in range(n)]
        total = sum(task.result() for task in tasks)
        spent = time.perf_counter_ns() - begin
        assert total == n * (n - 1) // 2
        return spent

    @staticmethod
    async def yields_once(n):
        async def child(index):
            await asyncio.sleep(0)
            return index

        begin = time.perf_counter_ns()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(index)) for index in range(n)]
        total = sum(task.result() for task in tasks)
        spent = time.perf_counter_ns() - begin
        assert total == n * (n - 1) // 2
        return spent

    @staticmethod
    async def fail_fast(n):
        loop = asyncio.get_running_loop()
        parked = 0

        async def park():
            nonlocal parked
            parked += 1
            await loop.create_future()

        async def fail():
            raise ValueError("one fails")

        begin = None
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(n):
                    group.create_task(park())
                while parked < n:
                    await asyncio.sleep(0)
                begin = time.perf_counter_ns()
                group.create_task(fail())
        except* ValueError as group:
            assert len(group.exceptions) == 1
        return time.perf_counter_ns() - begin

    @staticmethod
    async def nested(depth):
        async def node(depth):
            async with asyncio.TaskGroup() as group:
                if depth > 0:
                    group.create_task(node(depth - 1))
                    group.create_task(node(depth - 1))

        begin = time.perf_counter_ns()
        await node(depth)
        return time.perf_counter_ns() - begin

    @staticmethod
    async def timeout_ready(n):
        begin = time.perf_counter_ns()
        for _ in range(n):
            async with asyncio.timeout(MINUTE):
                pass
        return time.perf_counter_ns() - begin

    @staticmethod
    async def timeout_woken(n):
        begin = time.perf_counter_ns()
        for _ in range(n):
            async with asyncio.timeout(MINUTE):
                await asyncio.sleep(0)
        return time.perf_counter_ns() - begin


class Uvloop(Asyncio):
    """The same programs on another event loop."""

    @staticmethod
    def version():
        import uvloop

        return uvloop.__version__

    @staticmethod
    def run(main):
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main())


class Nursery:
    """What Trio and AnyIO share: children return no results, so they record them."""

    def __init__(self, open_group, checkpoint, sleep_forever, fail_after):
        self.open_group = open_group
        self.checkpoint = checkpoint
        self.sleep_forever = sleep_forever
        self.fail_after = fail_after

    async def spawn_join(self, n):
        async def child(index):
            results[index] = index

        begin = time.perf_counter_ns()
        results = [None] * n
        async with self.open_group() as group:
            for index in range(n):
                group.start_soon(child, index)
        total = sum(results)
        spent = time.perf_counter_ns() - begin
        assert total == n * (n - 1) // 2
        return spent

    async def yields_once(self, n):
        async def child(index):
            await self.checkpoint()
            results[index] = index

        begin = time.perf_counter_ns()
        results = [None] * n
        async with self.open_group() as group:
            for index in range(n):
                group.start_soon(child, index)
        total = sum(results)
        spent = time.perf_counter_ns() - begin
        assert total == n * (n - 1) // 2
        return spent

    async def fail_fast(self, n):
        parked = 0

        async def park():
            nonlocal parked
            parked += 1
            await self.sleep_forever()

        async def fail():
            raise ValueError("one fails")

        begin = None
        try:
            async with self.open_group() as group:
                for _ in range(n):
                    group.start_soon(park)
                while parked < n:
                    await self.checkpoint()
                begin = time.perf_counter_ns()
                group.start_soon(fail)
        except* ValueError as group:
            assert len(group.exceptions) == 1
        return time.perf_counter_ns() - begin

    async def nested(self, depth):
        async def node(depth):
            async with self.open_group() as group:
                if depth > 0:
                    group.start_soon(node, depth - 1)
                    group.start_soon(node, depth - 1)

        begin = time.perf_counter_ns()
        await node(depth)
        return time.perf_counter_ns() - begin

    async def timeout_ready(self, n):
        begin = time.perf_counter_ns()
        for _ in range(n):
            with self.fail_after(MINUTE):
                pass
        return time.perf_counter_ns() - begin

    async def timeout_woken(self, n):
        begin = time.perf_counter_ns()
        for _ in range(n):
            with self.fail_after(MINUTE):
                await self.checkpoint()
        return time.perf_counter_ns() - begin


class Trio(Nursery):
    def __init__(self):
        import trio

        self.trio = trio
        super().__init__(trio.open_nursery, trio.lowlevel.checkpoint, trio.sleep_forever, trio.fail_after)

    def version(self):
        return self.trio.__version__

    def run(self, main):
        return self.trio.run(main)


class Anyio(Nursery):
    """On its asyncio backend."""

    def __init__(self):
        import anyio
        import anyio.lowlevel

        self.anyio = anyio
        super().__init__(anyio.create_task_group, anyio.lowlevel.checkpoint, anyio.sleep_forever, anyio.fail_after)

    def version(self):
        from importlib.metadata import version

        return version("anyio")

    def run(self, main):
        return self.anyio.run(main)


LIBRARIES = {"asyncio": Asyncio, "uvloop": Uvloop, "trio": Trio, "anyio": Anyio}


def main():
    library = LIBRARIES[sys.argv[1]]()
    if len(sys.argv) == 2:
        print(library.version())
        return
    row, n, times = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    program = getattr(library, row)

    async def repeat():
        await program(min(n, 10))
        return sum([await program(n) for _ in range(times)])

    print(library.run(repeat))


main()
