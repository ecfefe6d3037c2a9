package apiserver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/audit/policy"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/webhook"
	auditbuffered "k8s.io/apiserver/plugin/pkg/audit/buffered"
	auditlog "k8s.io/apiserver/plugin/pkg/audit/log"
	auditwebhook "k8s.io/apiserver/plugin/pkg/audit/webhook"
)

const (
	auditLogMegabytes = 100
	auditLogBackups   = 10
	// stdout as a path means the standard output.
	stdout         = "-"
	auditBatchWait = 30 * time.Second
)

// audit makes cfg write what the policy file asks for: to a file, which is turned over when it has grown, before the
// request is answered; and to a webhook in batches.
func (s *Server) audit(cfg *genericapiserver.Config) error {
	c := s.cfg
	if c.AuditPolicyFile == "" {
		if c.AuditLogPath != "" || c.AuditWebhookConfigFile != "" {
			return errors.New("audit needs a policy file that says what is recorded")
		}
		return nil
	}
	p, err := policy.LoadPolicyFromFile(c.AuditPolicyFile)
	if err != nil {
		return fmt.Errorf("audit policy: %w", err)
	}
	cfg.AuditPolicyRuleEvaluator = policy.NewPolicyRuleEvaluator(p)
	var backends []audit.Backend
	if c.AuditLogPath != "" {
		w, err := s.auditFile()
		if err != nil {
			return err
		}
		backends = append(backends, auditlog.NewBackend(w, auditlog.FormatJson, auditv1.SchemeGroupVersion))
	}
	if c.AuditWebhookConfigFile != "" {
		backoff := webhook.DefaultRetryBackoffWithInitialDelay(auditwebhook.DefaultInitialBackoffDelay)
		b, err := auditwebhook.NewBackend(c.AuditWebhookConfigFile, auditv1.SchemeGroupVersion, backoff, nil)
		if err != nil {
			return fmt.Errorf("audit webhook %s: %w", c.AuditWebhookConfigFile, err)
		}
		backends = append(backends, auditbuffered.NewBackend(b, auditBatches()))
	}
	if len(backends) > 0 {
		cfg.AuditBackend = audit.Union(backends...)
	}
	return nil
}

func (s *Server) auditFile() (io.Writer, error) {
	if s.cfg.AuditLogPath == stdout {
		return os.Stdout, nil
	}
	// The file is made here, so that a path that cannot be written shows at the start and not with the first event.
	f, err := os.OpenFile(s.cfg.AuditLogPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	w := &lumberjack.Logger{Filename: s.cfg.AuditLogPath, MaxSize: auditLogMegabytes, MaxBackups: auditLogBackups}
	s.closers = append(s.closers, w)
	return w, nil
}

// auditBatches are kube-apiserver's defaults for webhooks.
func auditBatches() auditbuffered.BatchConfig {
	return auditbuffered.BatchConfig{
		BufferSize: 10000, MaxBatchSize: 400, MaxBatchWait: auditBatchWait,
		ThrottleEnable: true, ThrottleQPS: 10, ThrottleBurst: 15, AsyncDelegate: true,
	}
}
