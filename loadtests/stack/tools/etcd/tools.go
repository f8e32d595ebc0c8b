//go:build tools

// Package tools names the command that the local stack builds.
package tools

import _ "go.etcd.io/etcd/server/v3"
