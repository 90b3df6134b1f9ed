// Temporal's Go SDK: a worker and its clients in one program, which runs the loads that the bench asks for,
// `ACTIVITIES CLIENTS SECONDS` a line of stdin, on the server whose address it is given.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"sort"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/types/known/durationpb"
)

const queue = "bench"

func addOne(_ context.Context, n int) (int, error) { return n + 1, nil }

func sequence(ctx workflow.Context, activities int) (int, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	n := 0
	for n < activities {
		if err := workflow.ExecuteActivity(ctx, addOne, n).Get(ctx, &n); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func main() {
	if err := serve(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func serve(address string) error {
	ctx := context.Background()
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	options := client.Options{HostPort: address, Logger: sdklog.NewStructuredLogger(quiet)}
	if err := register(ctx, options); err != nil {
		return err
	}
	temporal, err := client.Dial(options)
	if err != nil {
		return err
	}
	defer temporal.Close()
	w := worker.New(temporal, queue, worker.Options{
		MaxConcurrentWorkflowTaskPollers: 8,
		MaxConcurrentActivityTaskPollers: 8,
	})
	w.RegisterWorkflow(sequence)
	w.RegisterActivity(addOne)
	if err := w.Start(); err != nil {
		return err
	}
	defer w.Stop()
	// A namespace is seen some seconds after it was registered.
	if err := untilItWorks(ctx, func() error { return execute(ctx, temporal, 1) }); err != nil {
		return err
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var activities, clients int
		var seconds float64
		if _, err := fmt.Sscan(lines.Text(), &activities, &clients, &seconds); err != nil {
			return err
		}
		if err := closedLoop(ctx, temporal, activities, clients, seconds); err != nil {
			return err
		}
	}
	return lines.Err()
}

// register makes the namespace `default` as soon as the server answers.
func register(ctx context.Context, options client.Options) error {
	return untilItWorks(ctx, func() error {
		namespaces, err := client.NewNamespaceClient(options)
		if err != nil {
			return err
		}
		defer namespaces.Close()
		err = namespaces.Register(ctx, &workflowservice.RegisterNamespaceRequest{
			Namespace:                        "default",
			WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
		})
		var exists *serviceerror.NamespaceAlreadyExists
		if errors.As(err, &exists) {
			return nil
		}
		return err
	})
}

// untilItWorks tries for a minute and returns the last error.
func untilItWorks(ctx context.Context, try func() error) error {
	deadline := time.Now().Add(time.Minute)
	for {
		err := try()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func execute(ctx context.Context, temporal client.Client, activities int) error {
	run, err := temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: queue}, sequence, activities)
	if err != nil {
		return err
	}
	var n int
	if err := run.Get(ctx, &n); err != nil {
		return err
	}
	if n != activities {
		return fmt.Errorf("a workflow ended with %d", n)
	}
	return nil
}

func closedLoop(ctx context.Context, temporal client.Client, activities, clients int, seconds float64) error {
	var mutex sync.Mutex
	var all []float64
	var failure error
	var running sync.WaitGroup
	begun := time.Now()
	until := begun.Add(time.Duration(seconds * float64(time.Second)))
	for range clients {
		running.Go(func() {
			var mine []float64
			var err error
			for err == nil && time.Now().Before(until) {
				sent := time.Now()
				err = execute(ctx, temporal, activities)
				mine = append(mine, float64(time.Since(sent).Microseconds())/1000)
			}
			mutex.Lock()
			defer mutex.Unlock()
			all = append(all, mine...)
			failure = errors.Join(failure, err)
		})
	}
	running.Wait()
	took := time.Since(begun).Seconds()
	if failure != nil {
		return failure
	}
	sort.Float64s(all)
	_, err := fmt.Printf("{\"workflows\":%d,\"seconds\":%f,\"p50_ms\":%f,\"p99_ms\":%f}\n",
		len(all), took, all[len(all)/2], all[len(all)*99/100])
	return err
}
