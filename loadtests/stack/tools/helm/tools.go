//go:build tools

// Package tools names the command that checks the Helm chart.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
