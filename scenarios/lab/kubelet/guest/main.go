// Command guest is the main process of a container in the lab: a line each
// tick, an echo of each line that it is sent, and a port that echoes. As
// "guest pause" it holds a pod's namespaces and does nothing. It is linked
// statically, so an image needs nothing else.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// tick is as in the lab's stand-in for a pod.
const tick = 200 * time.Millisecond

func main() {
	if len(os.Args) == 2 && os.Args[1] == "pause" {
		end := make(chan os.Signal, 1)
		signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
		<-end
		return
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run listens on the address that is its one argument.
func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: guest ADDRESS, or guest pause")
	}
	ln, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	go serve(ln)
	lines := make(chan string)
	go read(lines)
	for n, clock := 1, time.NewTicker(tick); ; {
		select {
		case line := <-lines:
			fmt.Println("echo " + line)
		case <-clock.C:
			fmt.Printf("tick %d\n", n)
			n++
		}
	}
}

// read reads lines until nobody can send any more.
func read(lines chan<- string) {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		lines <- in.Text()
	}
}

func serve(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}()
	}
}
