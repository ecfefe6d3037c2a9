// Package doctor is the verb `mayfly doctor`: it says what the machine lacks to run Mayfly, and what mends it.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/mayfly-run/mayfly/internal/config"
	"github.com/mayfly-run/mayfly/internal/doctor"
)

type options struct {
	instance config.Instance
	output   string
	streams  genericiooptions.IOStreams
	check    func(context.Context, doctor.Config) []doctor.Finding
}

// New makes the command.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	o := &options{instance: config.Default(), streams: streams, check: doctor.Check}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine lacks to run Mayfly, and what mends it",
		Long: "Looks at the kernel, cgroups, capabilities, file systems, network and ports that `mayfly up` with the same flags\n" +
			"would use. It changes nothing. Exit code 1 means that `mayfly up` would refuse.",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.instance.DataDir, "data-dir", o.instance.DataDir, "directory for all that must survive a reboot")
	flags.StringVar(&o.instance.RunDir, "run-dir", o.instance.RunDir, "directory for sockets")
	flags.StringVar(&o.instance.Listen, "listen", o.instance.Listen, "address of the Kubernetes API")
	flags.StringSliceVar(&o.instance.PodCIDRs, "pod-cidr", o.instance.PodCIDRs, "network of the Pods")
	flags.StringVar(&o.instance.CNIConfDir, "cni-conf-dir", o.instance.CNIConfDir, "directory of CNI's configuration, none, or auto")
	flags.StringVar(&o.instance.CNIBinDir, "cni-bin-dir", o.instance.CNIBinDir, "directories of CNI's plugins")
	flags.StringVarP(&o.output, "output", "o", "text", "text or json")
	return cmd
}

func (o *options) run(ctx context.Context) error {
	if o.output != "text" && o.output != "json" {
		return fmt.Errorf("--output %q: choose text or json", o.output)
	}
	if err := o.instance.Complete(); err != nil {
		return err
	}
	if err := o.instance.Validate(); err != nil {
		return err
	}
	findings := o.check(ctx, doctor.ConfigOf(o.instance))
	if err := o.print(findings); err != nil {
		return err
	}
	if doctor.Refusal(findings) != nil {
		return fmt.Errorf("mayfly up would not run here")
	}
	return nil
}

func (o *options) print(findings []doctor.Finding) error {
	if o.output == "json" {
		encoder := json.NewEncoder(o.streams.Out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(findings)
	}
	for _, f := range findings {
		if err := printFinding(o.streams.Out, f); err != nil {
			return err
		}
	}
	return nil
}

func printFinding(w io.Writer, f doctor.Finding) error {
	verdict := "warn"
	switch {
	case f.OK:
		verdict = "ok"
	case f.Fatal:
		verdict = "FAIL"
	}
	_, err := fmt.Fprintf(w, "%-4s  %-16s %s\n", verdict, f.Name, f.Detail)
	if err == nil && f.Remedy != "" {
		_, err = fmt.Fprintf(w, "%-4s  %-16s → %s\n", "", "", f.Remedy)
	}
	return err
}
