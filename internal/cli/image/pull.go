package image

import (
	"context"
	"fmt"

	"github.com/distribution/reference"
	dockerconfig "github.com/docker/cli/cli/config"
	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/cri/image"
)

// hubKey is the name of Docker Hub in Docker's configuration file.
const hubKey = "https://index.docker.io/v1/"

func newPull(o *options) *cobra.Command {
	var quiet bool
	cmd := &cobra.Command{
		Use:   "pull REF",
		Short: "Fetch an image from its registry",
		Long: "Fetch an image from its registry, with the credentials of your Docker configuration (~/.docker/config.json,\n" +
			"DOCKER_CONFIG), credential helpers included. Mirrors and certificates: DATA-DIR/certs.d/HOST/hosts.toml, as\n" +
			"containerd's. Registries on localhost may speak plain HTTP.",
		Example: "  mayfly image pull busybox\n  mayfly image pull registry.example.com/team/app:v1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.pull(cmd.Context(), args[0], quiet)
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print the image's ID alone")
	return cmd
}

func (o *options) pull(ctx context.Context, ref string, quiet bool) error {
	name, err := image.Normalize(ref)
	if err != nil {
		return err
	}
	credentials, err := o.credentials(name)
	if err != nil {
		return err
	}
	return o.with(ctx, func(s store) error {
		show := newDisplay(o.streams.ErrOut)
		if quiet {
			show = discard{}
		}
		id, err := s.Pull(ctx, name, credentials, show.step)
		show.end()
		if err != nil {
			return err
		}
		if quiet {
			_, err = fmt.Fprintln(o.streams.Out, id)
		} else {
			_, err = fmt.Fprintf(o.streams.Out, "Pulled %s (%s)\n", name, short(id))
		}
		return err
	})
}

// credentials asks the user's Docker configuration, and the helper that it names, for the image's registry.
func (o *options) credentials(name string) (image.Credentials, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return image.Credentials{}, fmt.Errorf("parse image reference: %w", err)
	}
	host := reference.Domain(named)
	key := host
	if host == "docker.io" {
		key = hubKey
	}
	found, err := dockerconfig.LoadDefaultConfigFile(o.streams.ErrOut).GetAuthConfig(key)
	if err != nil {
		return image.Credentials{}, fmt.Errorf("find credentials for %s in the docker configuration: %w", host, err)
	}
	return image.Credentials{Username: found.Username, Password: found.Password, Auth: found.Auth, IdentityToken: found.IdentityToken, ServerAddress: host}, nil
}
