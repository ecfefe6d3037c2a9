package image

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newRemove(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "remove REF...",
		Aliases: []string{"rm"},
		Short:   "Remove images by name or ID",
		Long: "Remove images by name or ID. A name goes alone while the image has others. The content of an image that\n" +
			"containers use goes with the last of them.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.with(cmd.Context(), func(s store) error {
				var errs []error
				for _, ref := range args {
					removed, err := s.Untag(cmd.Context(), ref)
					if err != nil {
						errs = append(errs, fmt.Errorf("remove %s: %w", ref, err))
						continue
					}
					for _, name := range removed.Names {
						if name != removed.ID {
							fmt.Fprintf(o.streams.Out, "Untagged %s\n", name)
						}
					}
					if removed.ID != "" {
						fmt.Fprintf(o.streams.Out, "Removed %s\n", removed.ID)
					}
				}
				return errors.Join(errs...)
			})
		},
	}
}
