// Package review holds the resources that answer a question and store nothing: who is the bearer of this token, may
// this user do that, and a token for this service account.
package review
