// The same work in Go, as errgroup does it, with the standard library only: a wait group, the first error, a context that it cancels.
//
//	groups <row> <n> <times>    prints the nanoseconds that all repetitions took together
//
// Each program checks its own result. Rows and sizes mean what they mean in the Rust programs.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// group ends when all of its goroutines have; the first error cancels its context.
type group struct {
	wait   sync.WaitGroup
	once   sync.Once
	first  error
	cancel context.CancelFunc
}

func open(parent context.Context) (*group, context.Context) {
	ctx, cancel := context.WithCancel(parent)
	return &group{cancel: cancel}, ctx
}

func (g *group) spawn(work func() error) {
	g.wait.Add(1)
	go func() {
		defer g.wait.Done()
		if err := work(); err != nil {
			g.once.Do(func() {
				g.first = err
				g.cancel()
			})
		}
	}()
}

func (g *group) join() error {
	g.wait.Wait()
	g.cancel()
	return g.first
}

func must(ok bool, what string) {
	if !ok {
		fmt.Fprintln(os.Stderr, what)
		os.Exit(1)
	}
}

func spawnJoin(n int, yields bool) time.Duration {
	begin := time.Now()
	results := make([]int, n)
	g, _ := open(context.Background())
	for index := 0; index < n; index++ {
		index := index
		g.spawn(func() error {
			if yields {
				runtime.Gosched()
			}
			results[index] = index
			return nil
		})
	}
	err := g.join()
	sum := 0
	for _, value := range results {
		sum += value
	}
	spent := time.Since(begin)
	must(err == nil && sum == n*(n-1)/2, "results are missing")
	return spent
}

func failFast(n int) time.Duration {
	var parked int64
	g, ctx := open(context.Background())
	for index := 0; index < n; index++ {
		g.spawn(func() error {
			atomic.AddInt64(&parked, 1)
			<-ctx.Done()
			return nil
		})
	}
	for atomic.LoadInt64(&parked) < int64(n) {
		runtime.Gosched()
	}
	begin := time.Now()
	g.spawn(func() error { return errors.New("one fails") })
	err := g.join()
	spent := time.Since(begin)
	must(err != nil, "the error is missing")
	return spent
}

func nested(parent context.Context, depth int) {
	g, ctx := open(parent)
	if depth > 0 {
		g.spawn(func() error { nested(ctx, depth-1); return nil })
		g.spawn(func() error { nested(ctx, depth-1); return nil })
	}
	must(g.join() == nil, "a group failed")
}

func timeouts(n int, yields bool) time.Duration {
	begin := time.Now()
	for index := 0; index < n; index++ {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if yields {
			runtime.Gosched()
		}
		must(ctx.Err() == nil, "the timeout fired")
		cancel()
	}
	return time.Since(begin)
}

func once(row string, n int) time.Duration {
	switch row {
	case "spawn_join":
		return spawnJoin(n, false)
	case "yields_once":
		return spawnJoin(n, true)
	case "fail_fast":
		return failFast(n)
	case "nested":
		begin := time.Now()
		nested(context.Background(), n)
		return time.Since(begin)
	case "timeout_ready":
		return timeouts(n, false)
	case "timeout_woken":
		return timeouts(n, true)
	}
	must(false, "unknown row "+row)
	return 0
}

func main() {
	must(len(os.Args) == 4, "groups <row> <n> <times>")
	n, err := strconv.Atoi(os.Args[2])
	must(err == nil, "n is not a number")
	times, err := strconv.Atoi(os.Args[3])
	must(err == nil, "times is not a number")
	runtime.GOMAXPROCS(2)
	warm := n
	if warm > 10 {
		warm = 10
	}
	once(os.Args[1], warm)
	var spent time.Duration
	for index := 0; index < times; index++ {
		spent += once(os.Args[1], n)
	}
	fmt.Println(spent.Nanoseconds())
}
