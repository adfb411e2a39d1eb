//go:build tools

// Package tools names the commands that this module pins; go.sum holds the hash of every dependency.
package tools

import (
	_ "github.com/juanfont/headscale/cmd/headscale"
)
