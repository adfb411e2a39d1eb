//go:build tools

// Package tools names the commands that this module pins; go.sum holds the hash of every dependency.
package tools

import (
	_ "github.com/Shopify/toxiproxy/v2/cmd/server"
)
