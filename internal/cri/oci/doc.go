// Package oci runs containers by another OCI runtime, such as runc or crun, in place of launch programs.
//
// The Pod's monitor starts `RUNTIME run` as it starts a container: that process stays as long as the container runs,
// takes its signals, passes its streams on and ends with its exit code. So logs, attaching, ends and finding again after
// a restart are those of any container; what is different is one more process for each, and slower starts.
package oci
