package image

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/mayfly-run/mayfly/internal/cri/image"
)

func newList(o *options) *cobra.Command {
	var quiet bool
	var output string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List images",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "" && output != "json" {
				return fmt.Errorf("-o %s: the only format is json", output)
			}
			return o.with(cmd.Context(), func(s store) error {
				list, err := s.List(cmd.Context())
				if err != nil {
					return err
				}
				switch {
				case output == "json":
					return printJSON(o.streams.Out, list)
				case quiet:
					return printIDs(o.streams.Out, list)
				}
				return printTable(o.streams.Out, list)
			})
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print IDs alone")
	cmd.Flags().StringVarP(&output, "output", "o", "", "print as json")
	return cmd
}

func printJSON(w io.Writer, list []image.Summary) error {
	if list == nil {
		list = []image.Summary{}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(list)
}

func printIDs(w io.Writer, list []image.Summary) error {
	for _, i := range list {
		if _, err := fmt.Fprintln(w, i.ID); err != nil {
			return err
		}
	}
	return nil
}

// printTable has a line per tag; an image without one stands under its digest, or as <none>.
func printTable(w io.Writer, list []image.Summary) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "IMAGE\tID\tSIZE\tCREATED")
	for _, i := range list {
		names := i.RepoTags
		if len(names) == 0 {
			names = i.RepoDigests
		}
		if len(names) == 0 {
			names = []string{"<none>"}
		}
		for _, name := range names {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", name, short(i.ID), size(i.Size), age(i.Created))
		}
	}
	return table.Flush()
}

// age is empty for the two dates that reproducible builds give: none, and the epoch.
func age(created time.Time) string {
	if created.IsZero() || created.Unix() == 0 {
		return "-"
	}
	return duration.HumanDuration(time.Since(created)) + " ago"
}
