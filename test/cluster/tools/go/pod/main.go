// What pods of the cluster tests run when they need no program of Esteira: a static file that is the whole image.
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	switch command := os.Args[1]; command {
	case "hold":
		// Of a pod's sandbox: it holds the namespaces, until it is told to end. A sidecar does the same.
		<-ended
	case "work":
		// Ends by itself, as a job does.
		time.Sleep(200 * time.Millisecond)
	case "ask":
		// Asks an address and fails if it does not answer in time.
		client := http.Client{
			Timeout:   20 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		}
		answer, err := client.Get(os.Args[2])
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		io.Copy(os.Stdout, answer.Body)
		fmt.Println()
	default:
		fmt.Printf("no command %q\n", command)
		os.Exit(2)
	}
}
