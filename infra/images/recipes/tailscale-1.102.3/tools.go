//go:build tools

// Package tools names the commands that this module pins; go.sum holds the hash of every dependency.
package tools

import (
	_ "tailscale.com/cmd/derper"
	_ "tailscale.com/cmd/tailscale"
	_ "tailscale.com/cmd/tailscaled"
)
